"""`aether config show`: each setting, where it came from, and no secrets."""

import json
import re
from pathlib import Path

import pytest

import aether.cli
from aether.cli.main import main
from aether.cli.masking import masked, without_password
from aether.cli.origins import OTHER_NAMES
from aether.cli.settings import Settings, load_settings
from aether.cli.up_options import told_elsewhere


@pytest.fixture(autouse=True)
def bare_environment(tmp_path, monkeypatch):
    for field in Settings.model_fields:
        for name in Settings.environment_names(field):
            monkeypatch.delenv(name, raising=False)
    for name in OTHER_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def shown(capsys, *options):
    assert main(["config", "show", "--json", *options]) == 0
    return {row["name"]: (row["value"], row["from"]) for row in json.loads(capsys.readouterr().out)}


def test_every_value_is_told_with_where_it_came_from(capsys, tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("AETHER_LOG_LEVEL=debug\nDB_PATH=/x/y.db\nAETHER_AUTH=\n")
    monkeypatch.setenv("PORT", "9000")
    monkeypatch.setenv("AETHER_LOG_LEVEL", "")
    rows = shown(capsys, "--host", "::1", "--keep-invocations", "7")
    assert rows["AETHER_HOST"] == ("::1", "option --host")
    assert rows["AETHER_KEEP_INVOCATIONS_DAYS"] == (7, "option --keep-invocations")
    assert rows["AETHER_PORT"] == (9000, "environment PORT")
    assert rows["AETHER_LOG_LEVEL"] == ("debug", ".env AETHER_LOG_LEVEL")
    assert rows["AETHER_DB_PATH"] == ("/x/y.db", ".env DB_PATH")
    assert rows["AETHER_AUTH"] == ("on", "default")
    assert rows["AETHER_URL"] == ("http://127.0.0.1:8080", "default")
    names = [Settings.environment_names(field)[0] for field in Settings.model_fields]
    assert list(rows) == [*names, "AETHER_URL", "AETHER_KEY", "AETHER_PROFILE"]


@pytest.mark.parametrize("field", Settings.model_fields)
def test_what_is_said_to_have_set_a_field_did(monkeypatch, tmp_path, field):
    """Both ways of naming, in both places: the winner is the one that is told."""
    samples = {
        int: ["11", "12", "13", "14"],
        float: ["11.5", "12.5", "13.5", "14.5"],
        Path: ["/1", "/2", "/3", "/4"],
        str: ["a1", "a2", "a3", "a4"],
    }
    choices = {
        "auth": ["off"] * 4,
        "log_level": ["debug", "warning", "error", "debug"],
        "worker_ip": [f"10.0.0.{number}" for number in range(4)],
        "trusted_proxies": [f"10.0.0.{number}" for number in range(4)],
        "minio_endpoint": [f"https://a{number}" for number in range(4)],
        "redis_addr": [f"redis://a{number}" for number in range(4)],
        "database_url": [f"postgresql://a/a{number}" for number in range(4)],
        "s3_bucket": [f"abc{number}" for number in range(4)],
        "vmm": ["simulated"] * 4,
        "code_cache_mb": ["101", "102", "103", "104"],
    }
    default = Settings.model_fields[field].get_default(call_default_factory=True)
    secret = field in Settings.secrets()
    kind = str if secret else type(default) if type(default) in samples else Path
    values = choices.get(field, samples[kind])
    names = Settings.environment_names(field)
    given = {}
    # From what counts least to what counts most.
    places = [(".env", n) for n in reversed(names)] + [("environment", n) for n in reversed(names)]
    for (kind_of_place, name), value in zip(places, values, strict=False):
        if kind_of_place == ".env":
            with (tmp_path / ".env").open("a") as file:
                file.write(f"{name}={value}\n")
        else:
            monkeypatch.setenv(name, value)
        given[f"{kind_of_place} {name}"] = value
        settings = load_settings()
        assert str(settings.origin(field)) == f"{kind_of_place} {name}"
        found = getattr(settings, field)
        assert str(found.get_secret_value() if secret else found) == value


def test_keys_are_masked(capsys, monkeypatch):
    monkeypatch.setenv("AETHER_KEY", "ak-0123456789abcdefghijklmnop")
    rows = shown(capsys)
    assert rows["AETHER_KEY"] == ("****mnop", "environment AETHER_KEY")
    assert main(["config", "show"]) == 0
    assert "0123456789" not in capsys.readouterr().out
    assert masked("short") == "****"


def test_passwords_in_urls_are_masked(capsys, monkeypatch):
    monkeypatch.setenv("AETHER_URL", "https://ada:s3cret@faas.example:8443/x")
    assert shown(capsys)["AETHER_URL"][0] == "https://ada:****@faas.example:8443/x"
    assert without_password("http://plain/") == "http://plain/"


def test_secrets_of_stores_are_shown_nowhere(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("AETHER_REDIS_PASSWORD", "hunter2hunter2hunter2")
    monkeypatch.setenv("REDIS_ADDR", "redis://ada:hun%2Fter@redis:6379/1")
    monkeypatch.setenv("AETHER_DATABASE_URL", "postgresql://ada:hunter@db/aether?sslpassword=hunter&x=1")
    (tmp_path / "key").write_text("huntertwohuntertwo-z9z9\n")
    monkeypatch.setenv("MINIO_SECRET_KEY_FILE", str(tmp_path / "key"))
    rows = shown(capsys)
    assert rows["AETHER_REDIS_PASSWORD"] == ("****ter2", "environment AETHER_REDIS_PASSWORD")
    assert rows["AETHER_REDIS_ADDR"] == ("redis://ada:****@redis:6379/1", "environment REDIS_ADDR")
    assert rows["AETHER_DATABASE_URL"][0] == "postgresql://ada:****@db/aether?sslpassword=****&x=1"
    assert rows["AETHER_MINIO_SECRET_KEY"] == ("****z9z9", "environment MINIO_SECRET_KEY_FILE")
    assert rows["AETHER_API_KEY"] == ("", "default")
    assert "hun" not in repr(load_settings())


def test_profile_in_use_is_told(capsys, tmp_path, monkeypatch):
    main(["profile", "set", "prod", "--url", "https://prod"])
    main(["profile", "use", "prod"])
    capsys.readouterr()
    rows = shown(capsys)
    assert rows["AETHER_URL"] == ("https://prod", "profile prod")
    assert rows["AETHER_PROFILE"] == ("prod", f"file {tmp_path / 'config/aether/config.toml'}")


@pytest.mark.parametrize("command", [["config", "show"], ["up"], ["setup"]])
def test_unknown_names_are_an_error_with_a_suggestion(capsys, monkeypatch, tmp_path, command):
    monkeypatch.setenv("AETHER_DATADIR", "/x")
    (tmp_path / ".env").write_text("AETHER_LOGLEVEL=debug\nOTHER=1\n")
    assert main(command) == 2
    err = capsys.readouterr().err
    assert "did you mean AETHER_DATA_DIR?" in err
    assert "AETHER_LOGLEVEL: there is no such setting (in .env); did you mean AETHER_LOG_LEVEL?" in err


def test_unknown_and_wrong_settings_are_told_together(capsys, monkeypatch):
    monkeypatch.setenv("AETHER_QQQQ", "1")
    monkeypatch.setenv("AETHER_PORT", "eighty")
    assert main(["config", "show"]) == 2
    err = capsys.readouterr().err
    assert "AETHER_QQQQ: there is no such setting;" in err
    assert "'eighty'" in err


def test_every_name_that_the_command_reads_is_known():
    read = set()
    for path in Path(aether.cli.__file__).parent.rglob("*.py"):
        read |= set(re.findall(r'"(AETHER_[A-Z_]+)"', path.read_text()))
    known = {name for field in Settings.model_fields for name in Settings.environment_names(field)}
    assert read - known <= OTHER_NAMES
    assert not OTHER_NAMES & known


def test_dotenv_that_is_no_text_is_told(capsys, tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    assert main(["config", "show"]) == 2
    assert ".env" in capsys.readouterr().err


def test_port_from_elsewhere_is_announced(monkeypatch, tmp_path):
    assert list(told_elsewhere(load_settings(port=9000))) == []
    monkeypatch.setenv("AETHER_PORT", "9000")
    assert list(told_elsewhere(load_settings())) == []
    monkeypatch.delenv("AETHER_PORT")
    (tmp_path / ".env").write_text("PORT=3000\nAETHER_HOST=127.0.0.1\nDATABASE_URL=x\n")
    told = list(told_elsewhere(load_settings()))
    assert told == [
        "The port is from .env PORT; --port or AETHER_PORT set another.",
        f"From {tmp_path / '.env'}: AETHER_HOST, PORT.",
    ]
    monkeypatch.setenv("PORT", "3001")
    assert "environment PORT" in next(told_elsewhere(load_settings()))
