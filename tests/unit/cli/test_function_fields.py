"""The options of `aether deploy` that are fields of the function."""

import dataclasses
import re

import pytest

from aether.cli.commands.function_fields import Fields
from aether.cli.reference import cli_page
from aether.domain.function import Limits

LIMITS = dataclasses.fields(Limits)


@pytest.fixture(scope="module")
def options() -> dict[str, str]:
    """What is told of each option of `aether deploy`."""
    page = cli_page().split("\n## aether deploy\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\* `(--[a-z-]+).*?`.*?: (.*)$", page, re.MULTILINE))


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_every_limit_has_an_option_that_tells_its_default(options, limit):
    assert limit.name in {field.name for field in dataclasses.fields(Fields)}
    told = options["--" + limit.name.removesuffix("_s").replace("_", "-")]
    default = limit.default if isinstance(limit.default, str) else f"{limit.default:g}"
    assert re.search(rf"Default for a new function: {default or 'none'}( |$)", told)


def test_only_what_is_given_changes():
    assert Fields(max_waiting=0, health_path="").given() == {"max_waiting": 0, "health_path": ""}
