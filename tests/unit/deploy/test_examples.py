"""The examples in `deploy/` say what the commands take."""

import re
import shlex
from pathlib import Path

import pytest
from dotenv import dotenv_values

from aether.cli.hop_settings import cluster_keys
from aether.cli.main import build_app
from aether.cli.roles.gateway import keys_of
from aether.cli.settings import InvalidSettings, Settings

DEPLOY = Path(__file__).parents[3] / "deploy"
ROLES = {"gateway": "gateway", "worker": "worker", "controller": "gateway"}


def names() -> set[str]:
    return {
        name
        for field in Settings.model_fields
        for name in (*Settings.environment_names(field), f"{Settings.environment_names(field)[0]}_FILE")
    }


@pytest.mark.parametrize("file", sorted((DEPLOY / "env").glob("*.env")), ids=lambda file: file.name)
def test_environments_hold_known_settings_only(file):
    unknown = dotenv_values(file).keys() - names()
    assert not unknown


def test_the_environments_of_a_role_load(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for role in ("gateway", "worker"):
        with monkeypatch.context() as environment:
            for file in ("common", role):
                for name, value in dotenv_values(DEPLOY / "env" / f"{file}.env").items():
                    environment.setenv(name, value)
            assert Settings.load({}).etcd_endpoints


def test_keys_of_the_examples_are_no_keys(monkeypatch, tmp_path):
    """Whoever forgets to change them is told, and has no platform that is open to all who read them."""
    monkeypatch.chdir(tmp_path)
    for file in ("common", "gateway"):
        for name, value in dotenv_values(DEPLOY / "env" / f"{file}.env").items():
            monkeypatch.setenv(name, value)
    settings = Settings.load({})
    with pytest.raises(InvalidSettings, match="AETHER_API_KEY"):
        keys_of(settings)
    with pytest.raises(InvalidSettings, match="AETHER_CLUSTER_KEY"):
        cluster_keys(settings)


@pytest.mark.parametrize("unit", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda unit: unit.name)
def test_units_start_commands_that_there_are(unit):
    [command] = re.findall(r"^ExecStart=(.+)$", unit.read_text(), re.MULTILINE)
    _, *arguments = shlex.split(command)
    function, given, _ = build_app().parse_args(arguments, exit_on_error=False, print_error=False)
    assert function.__module__.endswith(arguments[0])
    assert given.arguments["wait_for_stores"]


@pytest.mark.parametrize("unit", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda unit: unit.name)
def test_settings_in_units_are_known(unit):
    named = re.findall(r"^Environment=(\w+)=", unit.read_text(), re.MULTILINE)
    assert named
    assert set(named) <= names()


def test_the_stores_have_what_their_environment_gives():
    wanted = set(re.findall(r"\$\{(\w+)\}", (DEPLOY / "compose.yaml").read_text()))
    assert wanted == dotenv_values(DEPLOY / "env" / "stores.env.example").keys()
