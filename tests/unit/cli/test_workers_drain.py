"""When `aether worker drain --wait` takes a worker for drained."""

import pytest

from aether.cli.commands.workers import _left


@pytest.mark.parametrize(
    ("found", "left"),
    [
        ([], 0),
        ([{"id": "wrk-2", "draining": False, "instances": 3}], 0),
        ([{"id": "wrk-1", "draining": False, "instances": 0}], None),
        ([{"id": "wrk-1", "draining": True, "instances": 1, "starting": 1}], 2),
        ([{"id": "wrk-1", "draining": True, "instances": 0}], 0),
    ],
)
def test_one_that_does_not_say_that_it_drains_may_still_be_given_more(found, left):
    assert _left(found, "wrk-1") == left
