"""What the doctor says of a role's settings."""

import socket

import pytest
from tests.engines import etcd_server, free_port, redis_server

from aether.cli.role_checks import check_ports, check_sockets, check_worker_ip, role_checks
from aether.cli.settings import Settings, load_settings
from aether.images.probe import Level

__all__ = ["etcd_server", "redis_server"]


@pytest.fixture
def settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ours = {"data_dir": tmp_path / "data", "port": 0, "worker_port": 0}

    def load(**more):
        for field, value in (ours | more).items():
            monkeypatch.setenv(Settings.environment_names(field)[-1], str(value))
        return load_settings()

    return load


def checked(settings):
    return {check.name: check for check in (check() for check in role_checks(settings))}


def test_nothing_is_said_where_no_role_is_set_up(settings):
    assert role_checks(settings()) == []


def test_stores_that_answer_are_fine(settings, etcd_server, redis_server, tmp_path):
    (tmp_path / "code").mkdir()
    found = checked(
        settings(
            etcd_endpoints=etcd_server.address, redis_addr=redis_server.address, code_dir=tmp_path / "code"
        )
    )
    assert list(found) == ["etcd", "worker ip", "redis", "code", "sockets", "ports"]
    assert {check.level for check in found.values()} == {Level.OK}, found
    assert not (tmp_path / "data/run").exists()


def test_stores_that_do_not_answer_fail_by_their_setting(settings):
    port = free_port()
    found = checked(
        settings(
            etcd_endpoints=f"127.0.0.1:{port}",
            redis_addr=f"redis://ada:s3cret@127.0.0.1:{port}",
            minio_endpoint=f"127.0.0.1:{port}",
            minio_access_key="ada",
            minio_secret_key="s3cret",
            database_url=f"postgresql://ada:s3cret@127.0.0.1:{port}/aether",
        )
    )
    for name in ("etcd", "redis", "code", "database"):
        assert found[name].level is Level.FAIL
        assert "can't be reached" in found[name].detail
        assert found[name].fix
    assert "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("address", "etcd", "level"),
    [
        ("127.0.0.1", "127.0.0.1:2379,localhost:2379", Level.OK),
        ("127.0.0.1", "localhost:2379,https://etcd.example:2379", Level.WARN),
        ("192.0.2.1", "127.0.0.1:2379", Level.FAIL),
    ],
)
def test_address_of_a_worker_has_to_be_reached_from_elsewhere(settings, address, etcd, level):
    check = check_worker_ip(settings(worker_ip=address, etcd_endpoints=etcd))
    assert check.level is level
    assert "WORKER_IP" in check.detail


def test_directory_that_others_write_to_is_refused(settings, tmp_path):
    (tmp_path / "run").mkdir(mode=0o777)
    (tmp_path / "run").chmod(0o777)
    check = check_sockets(settings(socket_dir=tmp_path / "run"))
    assert check.level is Level.FAIL
    assert "SOCKET_DIR" in check.fix


def test_port_that_is_taken_is_named(settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        check = check_ports(settings(worker_port=taken.getsockname()[1]))
    assert check.level is Level.WARN
    assert "(AETHER_WORKER_PORT) is in use" in check.detail
