"""Settings of `aether up`: where they come from, and how wrong ones are told."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from aether.cli.settings import SOCKET_NAME_BYTES, UNIX_PATH_BYTES, InvalidSettings, Settings, load_settings


@pytest.fixture(autouse=True)
def bare_environment(tmp_path, monkeypatch):
    """No setting of whoever runs the tests, and a directory without a .env."""
    for field in Settings.model_fields:
        for name in Settings.environment_names(field):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


def plain(value):
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value)


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
        ("ETCD_ENDPOINTS", "etcd_endpoints"),
        ("REDIS_ADDR", "redis_addr"),
        ("MINIO_ENDPOINT", "minio_endpoint"),
    ],
)
def test_names_of_the_wire_contract_are_read_and_ours_beat_them(monkeypatch, name, field):
    values = {
        "port": ("1234", "1235"),
        "worker_ip": ("10.0.0.1", "10.0.0.2"),
        "etcd_endpoints": ("one:2379,https://two", "three:2379"),
        "redis_addr": ("redis://one:6379", "rediss://two"),
        "minio_endpoint": ("http://one:9000", "https://two"),
    }.get(field, ("/a", "/b"))
    monkeypatch.setenv(name, values[0])
    assert plain(getattr(load_settings(), field)) == values[0]
    monkeypatch.setenv(f"AETHER_{name}", values[1])
    assert plain(getattr(load_settings(), field)) == values[1]


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


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ETCD_ENDPOINTS", "etcd:twothousand", "a port between 1 and 65535"),
        ("ETCD_ENDPOINTS", "ok:1,ftp://etcd", "http:// or https://"),
        ("ETCD_ENDPOINTS", "https://etcd/v3", "nothing may follow the port"),
        ("ETCD_ENDPOINTS", "http://ada:s3cret@etcd", "AETHER_ETCD_USER"),
        ("REDIS_ADDR", "http://ada:s3cret@redis", "redis:// or rediss://"),
        ("REDIS_ADDR", "redis://ada:s3/cret@redis:1", "%2F"),
        ("REDIS_ADDR", "redis://:s3cret@redis/db0", "a database's number"),
        ("MINIO_ENDPOINT", "s3:", "a host"),
        ("MINIO_ENDPOINT", "http://ada:s3cret@s3", "MINIO_ACCESS_KEY"),
        ("AETHER_DATABASE_URL", "mysql://ada:s3cret@db/aether", "postgresql://"),
        ("AETHER_DATABASE_URL", "postgresql://ada:s3cret@db", "must name a database"),
        ("REDIS_ADDR", "ada:s3cret@h:0", "port"),
        ("ETCD_ENDPOINTS", "ada:s3cret@etcd:2379,http://bob:s3cret@x", "****@x"),
        ("MINIO_ENDPOINT", "ada:s3cret@s3:x", "port"),
        ("AETHER_DATABASE_URL", "ada:s3cret@db/aether", "postgresql://"),
        ("AETHER_WORKER_ID", "a/b", "dots, dashes"),
        ("AETHER_VMM", "kvm", "'qemu' or 'simulated'"),
    ],
)
def test_wrong_store_is_told_by_name_and_without_its_password(monkeypatch, name, value, told):
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as raised:
        load_settings()
    [(field, what)] = raised.value.fields.items()
    assert field.removeprefix("AETHER_") == name.removeprefix("AETHER_")
    assert told in what
    assert "cret" not in raised.value.message


def test_addresses_are_completed(monkeypatch):
    monkeypatch.setenv("REDIS_ADDR", "redis:6379")
    monkeypatch.setenv("MINIO_ENDPOINT", "minio:9000")
    monkeypatch.setenv("ETCD_ENDPOINTS", " one:2379 , two:2379,")
    settings = load_settings()
    assert settings.redis_addr.get_secret_value() == "redis://redis:6379"
    assert settings.minio_endpoint == "http://minio:9000"
    assert settings.etcd_endpoints == "one:2379,two:2379"


def test_secret_comes_from_a_file(monkeypatch, tmp_path):
    (tmp_path / "key").write_text(" s3cret \n")
    monkeypatch.setenv("AETHER_CLUSTER_KEY_FILE", str(tmp_path / "key"))
    assert load_settings().cluster_key.get_secret_value() == " s3cret "
    monkeypatch.setenv("AETHER_CLUSTER_KEY", "other")
    with pytest.raises(InvalidSettings, match="AETHER_CLUSTER_KEY_FILE: AETHER_CLUSTER_KEY is set as well"):
        load_settings()


@pytest.mark.parametrize(
    ("content", "told"), [(None, "No such file"), (b"", "is empty"), (b"\xff\xfe", "not UTF-8")]
)
def test_file_of_a_secret_that_can_not_be_read_is_told(monkeypatch, tmp_path, content, told):
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("MINIO_SECRET_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(InvalidSettings) as raised:
        load_settings()
    assert told in raised.value.fields["MINIO_SECRET_KEY_FILE"]


def test_file_with_a_wrong_url_is_told_by_the_name_that_named_it(monkeypatch, tmp_path):
    (tmp_path / "url").write_text("mysql://ada:s3cret@db/aether\n")
    monkeypatch.setenv("AETHER_DATABASE_URL_FILE", str(tmp_path / "url"))
    with pytest.raises(InvalidSettings) as raised:
        load_settings()
    assert "postgresql://" in raised.value.fields["AETHER_DATABASE_URL_FILE"]
    assert "cret" not in raised.value.message


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
    rows = re.findall(r"^\| `([A-Z0-9_]+)`", documented, re.MULTILINE)
    assert rows == [Settings.environment_names(field)[0] for field in Settings.model_fields]
