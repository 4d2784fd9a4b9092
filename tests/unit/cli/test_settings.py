"""Settings of `aether up`: where they come from, and how wrong ones are told."""

import re
from pathlib import Path

import pytest

from aether.cli.settings import SOCKET_NAME_BYTES, UNIX_PATH_BYTES, InvalidSettings, Settings, load_settings


@pytest.fixture(autouse=True)
def bare_environment(tmp_path, monkeypatch):
    """No setting of whoever runs the tests, and a directory without a .env."""
    for field in Settings.model_fields:
        for name in Settings.environment_names(field):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_follow_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = load_settings()
    assert settings.data_dir == tmp_path / "share/aether"
    assert settings.cache_dir == tmp_path / ".cache/aether"
    assert settings.database == settings.data_dir / "aether.db"
    assert (settings.host, settings.port, settings.auth) == ("127.0.0.1", 8080, "on")


def test_option_beats_environment_beats_dotenv(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("AETHER_HOST=10.0.0.1\nAETHER_LOG_LEVEL=debug\nPORT=1\nOTHER=x\n")
    monkeypatch.setenv("AETHER_HOST", "10.0.0.2")
    monkeypatch.setenv("PORT", "2")
    settings = load_settings(port=3, host=None)
    assert (settings.port, settings.host, settings.log_level) == (3, "10.0.0.2", "debug")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("PORT", "port"),
        ("KERNEL_PATH", "kernel_path"),
        ("RUNTIME_PATH", "runtime_path"),
        ("WORKER_IP", "worker_ip"),
        ("SOCKET_DIR", "socket_dir"),
        ("DB_PATH", "db_path"),
    ],
)
def test_names_of_the_wire_contract_are_read_and_ours_beat_them(monkeypatch, name, field):
    values = {"port": ("1234", "1235"), "worker_ip": ("10.0.0.1", "10.0.0.2")}.get(field, ("/a", "/b"))
    monkeypatch.setenv(name, values[0])
    assert str(getattr(load_settings(), field)) == values[0]
    monkeypatch.setenv(f"AETHER_{name}", values[1])
    assert str(getattr(load_settings(), field)) == values[1]


def test_empty_variable_is_no_setting(monkeypatch):
    monkeypatch.setenv("PORT", "")
    assert load_settings().port == 8080


def test_every_wrong_setting_is_named_with_what_it_was(monkeypatch):
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.setenv("AETHER_AUTH", "maybe")
    with pytest.raises(InvalidSettings) as raised:
        load_settings()
    assert set(raised.value.fields) == {"AETHER_PORT", "AETHER_AUTH"}
    assert "'eighty'" in raised.value.message
    assert "'on' or 'off'" in raised.value.message


def test_socket_names_fit_whatever_the_data_directory(tmp_path):
    for data_dir in ("/srv/aether", "/" + "long/" * 40):
        sockets = load_settings(data_dir=data_dir).sockets
        assert len(bytes(sockets)) + SOCKET_NAME_BYTES < UNIX_PATH_BYTES
        assert sockets == load_settings(data_dir=data_dir).sockets
    assert load_settings(data_dir="/srv/aether").sockets == Path("/srv/aether/run")


def test_paths_of_users_are_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/ada")
    assert load_settings(data_dir="~/faas").data_dir == Path("/home/ada/faas")
    assert load_settings(data_dir="here").data_dir == tmp_path / "here"


def test_every_setting_is_in_the_documentation():
    documented = (Path(__file__).parents[3] / "docs/settings.md").read_text()
    rows = re.findall(r"^\| `([A-Z_]+)`", documented, re.MULTILINE)
    assert rows == [Settings.environment_names(field)[0] for field in Settings.model_fields]
