"""Roles and their stores at the start: whatever is wrong is one sentence that names the setting."""

import asyncio
import os
import subprocess
import sys
from contextlib import aclosing, contextmanager

import pytest
import redis
from tests.engines import EtcdServer, RedisServer, etcd_server, free_port, redis_server, running
from tests.integration.edge.conftest import make_certificate
from tests.postgres import postgres_server
from tests.s3 import S3Server, s3_server

from aether.adapters.etcd.answers import text
from aether.adapters.etcd.json_gateway import Credentials, JsonGateway
from aether.cli.failures import ExitCode
from aether.cli.main import main

__all__ = ["etcd_server", "postgres_server", "redis_server", "s3_server"]

SECRET = "s3cret-Zz9"
WRONG = "another-s3cret"


@pytest.fixture
def role(capfd, monkeypatch, tmp_path, etcd_server, redis_server):
    """Starts a gateway whose settings are right, but for those given; how it ended, and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("aether.cli.roles.serving.configure_logging", lambda _level: None)
    (tmp_path / "code").mkdir()
    right = {
        "ETCD_ENDPOINTS": etcd_server.address,
        "REDIS_ADDR": redis_server.address,
        "AETHER_CODE_DIR": str(tmp_path / "code"),
        "AETHER_DATA_DIR": str(tmp_path / "data"),
    }

    def start(**settings):
        for name, value in (right | settings).items():
            monkeypatch.setenv(name, str(value))
        capfd.readouterr()
        code = main(["gateway", "--port", "0"])
        said = capfd.readouterr().err
        assert "Traceback" not in said
        assert SECRET not in said
        assert WRONG not in said
        return code, said

    return start


def refused(ended, *parts):
    """By a store: in one sentence, and a hint."""
    code, said = ended
    for part in parts:
        assert part in said, said
    assert code == ExitCode.STORE, said
    first, *rest = said.splitlines()
    assert first.startswith("aether: ")
    assert first.endswith("."), first
    assert len(rest) <= 1, said


def wrong(ended, *parts):
    """A setting, before any store is asked."""
    code, said = ended
    assert code == ExitCode.USAGE, said
    for part in parts:
        assert part in said, said


async def etcd_calls(url, *calls, **more):
    async with aclosing(JsonGateway([url], **more)) as etcd:
        for name, request in calls:
            await etcd.call(name, request)


class TestEtcd:
    def test_nobody_there(self, role):
        port = free_port()
        ended = role(ETCD_ENDPOINTS=f"127.0.0.1:{port}")
        refused(ended, f"etcd at 127.0.0.1:{port} (ETCD_ENDPOINTS) can't be reached", "--wait-for-stores")

    def test_another_server(self, role, redis_server):
        refused(role(AETHER_ETCD_ENDPOINTS=redis_server.address), "(AETHER_ETCD_ENDPOINTS) can't be reached")

    @pytest.fixture
    def guarded(self, etcd_server):
        """Who may do all, `ada`, who may do nothing, and `eve`, who may only read."""
        users = ("root", "ada", "eve")
        everything = {"permType": "READ", "key": "AA==", "range_end": "AA=="}
        asyncio.run(
            etcd_calls(
                etcd_server.url,
                *(("auth/user/add", {"name": user, "password": SECRET}) for user in users),
                ("auth/role/add", {"name": "root"}),
                ("auth/role/add", {"name": "reader"}),
                ("auth/role/grant", {"name": "reader", "perm": everything}),
                ("auth/user/grant", {"user": "root", "role": "root"}),
                ("auth/user/grant", {"user": "eve", "role": "reader"}),
                ("auth/enable", {}),
            )
        )
        yield
        asyncio.run(
            etcd_calls(etcd_server.url, ("auth/disable", {}), credentials=Credentials("root", SECRET))
        )
        gone = [("auth/user/delete", {"name": user}) for user in users]
        gone += [("auth/role/delete", {"role": role}) for role in ("root", "reader")]
        asyncio.run(etcd_calls(etcd_server.url, *gone))

    @pytest.mark.parametrize(
        ("settings", "look_at"),
        [
            ({}, "AETHER_ETCD_USER"),
            ({"AETHER_ETCD_USER": "root", "AETHER_ETCD_PASSWORD": WRONG}, "AETHER_ETCD_PASSWORD"),
            ({"AETHER_ETCD_USER": "ada", "AETHER_ETCD_PASSWORD": SECRET}, "AETHER_ETCD_USER"),
            ({"AETHER_ETCD_USER": "eve", "AETHER_ETCD_PASSWORD": SECRET}, "AETHER_ETCD_USER"),
        ],
    )
    def test_credentials(self, role, guarded, settings, look_at):
        refused(role(**settings), "(ETCD_ENDPOINTS) refuses us", f"Look at {look_at}")

    def test_user_without_a_password(self, role):
        wrong(role(AETHER_ETCD_USER="root"), "AETHER_ETCD_PASSWORD is missing")

    def test_certificate_of_an_authority_that_is_not_known(self, role, tmp_path):
        chain, key = make_certificate(tmp_path)

        class Secure(EtcdServer):
            url = property(lambda self: f"https://{self.address}")

            def command(self):
                return [*super().command(), "--cert-file", str(chain), "--key-file", str(key)]

            def answers(self, sock):
                return True

        with running(Secure) as server:
            endpoint = f"https://localhost:{server.port}"
            refused(
                role(ETCD_ENDPOINTS=endpoint), endpoint, "certificate verify failed", "Look at AETHER_ETCD_CA"
            )
            refused(role(ETCD_ENDPOINTS=server.address), "can't be reached")


class TestRedis:
    def test_nobody_there(self, role):
        port = free_port()
        ended = role(REDIS_ADDR=f"redis://ada:{SECRET}@127.0.0.1:{port}/2")
        refused(ended, f"Redis at redis://ada:****@127.0.0.1:{port}/2 (REDIS_ADDR) can't be reached")

    def test_another_server(self, role, etcd_server):
        refused(role(REDIS_ADDR=etcd_server.address), "(REDIS_ADDR)")

    @pytest.fixture
    def guarded(self, redis_server):
        """The default user has a password; `ada` may do next to nothing."""
        with redis.Redis(port=redis_server.port) as client:
            client.acl_setuser("ada", enabled=True, passwords=[f"+{SECRET}"], commands=["+ping"])
            client.config_set("requirepass", SECRET)
        yield
        with redis.Redis(port=redis_server.port, password=SECRET) as client:
            client.config_set("requirepass", "")
            client.acl_deluser("ada")

    @pytest.mark.parametrize(
        ("settings", "look_at"),
        [
            ({}, "AETHER_REDIS_PASSWORD"),
            ({"AETHER_REDIS_PASSWORD": WRONG}, "AETHER_REDIS_PASSWORD"),
            (
                {"AETHER_REDIS_USER": "eve", "AETHER_REDIS_PASSWORD": SECRET},
                "AETHER_REDIS_USER and AETHER_REDIS_PASSWORD",
            ),
            ({"AETHER_REDIS_USER": "ada", "AETHER_REDIS_PASSWORD": SECRET}, "AETHER_REDIS_USER"),
        ],
    )
    def test_credentials(self, role, guarded, settings, look_at):
        refused(role(**settings), "(REDIS_ADDR) refuses us", f"Look at {look_at}")

    def test_certificate_of_an_authority_that_is_not_known(self, role, tmp_path):
        chain, key = make_certificate(tmp_path)

        class Secure(RedisServer):
            def command(self):
                tls = f"--tls-port {self.port} --port 0 --tls-cert-file {chain} --tls-key-file {key}"
                return [*super().command(), *tls.split(), "--tls-auth-clients", "no"]

            def answers(self, sock):
                return True

        with running(Secure) as server:
            url = f"rediss://localhost:{server.port}"
            refused(role(REDIS_ADDR=url), url, "certificate verify failed", "Look at AETHER_REDIS_CA")
            # Trusted, it goes on to the next store.
            ended = role(REDIS_ADDR=url, AETHER_REDIS_CA=chain, AETHER_CODE_DIR="/none/there")
            refused(ended, "(AETHER_CODE_DIR)")


class TestPostgres:
    def test_nobody_there(self, role):
        url = f"postgresql://ada:{SECRET}@127.0.0.1:{free_port()}/aether"
        refused(
            role(AETHER_DATABASE_URL=url), "PostgreSQL at postgresql://ada:****@", "(AETHER_DATABASE_URL)"
        )

    def test_credentials(self, role, postgres_server):
        url = f"postgresql://{postgres_server.user}:{WRONG}@{postgres_server.address}/aether"
        refused(
            role(AETHER_DATABASE_URL=url),
            "(AETHER_DATABASE_URL) refuses us",
            "password authentication failed",
        )
        ended = role(AETHER_DATABASE_URL=postgres_server.url_of("none"))
        refused(ended, "(AETHER_DATABASE_URL) refuses us", "does not exist")

    def test_url_that_can_not_be_used(self, role, postgres_server):
        url = f"postgresql://ada:{SECRET}@{postgres_server.address}/aether?pool_size=many"
        refused(role(AETHER_DATABASE_URL=url), "pool_size", "(AETHER_DATABASE_URL)")


class TestCode:
    def keys(self, server, **changes):
        right = {
            "MINIO_ENDPOINT": server.address,
            "MINIO_ACCESS_KEY": server.access_key,
            "MINIO_SECRET_KEY": server.secret_key,
            "AETHER_CODE_DIR": "",
        }
        return right | changes

    def test_nobody_there(self, role):
        settings = {"MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": SECRET, "AETHER_CODE_DIR": ""}
        endpoint = f"http://127.0.0.1:{free_port()}"
        refused(role(MINIO_ENDPOINT=endpoint, **settings), f"{endpoint} (MINIO_ENDPOINT) can't be reached")

    def test_keys(self, role, s3_server):
        refused(
            role(**self.keys(s3_server, MINIO_ACCESS_KEY="eve")), "(MINIO_ENDPOINT) refuses", "MINIO_ACCESS"
        )
        refused(
            role(**self.keys(s3_server, MINIO_SECRET_KEY=WRONG)), "(MINIO_ENDPOINT) refuses", "MINIO_SECRET"
        )

    def test_certificate_of_an_authority_that_is_not_known(self, role, tmp_path):
        class Secure(S3Server):
            certificate = make_certificate(tmp_path)

        with running(Secure) as server:
            endpoint = f"https://localhost:{server.port}"
            refused(role(**self.keys(server, MINIO_ENDPOINT=endpoint)), endpoint, "AETHER_S3_CA")

    def test_directory_that_is_not_there(self, role):
        refused(role(AETHER_CODE_DIR="/none/there"), "Code at /none/there (AETHER_CODE_DIR) can't be reached")

    def test_directory_that_is_a_file(self, role, tmp_path):
        (tmp_path / "file").touch()
        refused(role(AETHER_CODE_DIR=tmp_path / "file"), "(AETHER_CODE_DIR) refuses us")


class TestSettings:
    def test_all_that_is_missing_is_told_at_once(self, role):
        ended = role(ETCD_ENDPOINTS="", REDIS_ADDR="", AETHER_CODE_DIR="")
        wrong(ended, "A gateway needs", "ETCD_ENDPOINTS", "REDIS_ADDR", "MINIO_ENDPOINT", "AETHER_CODE_DIR")
        ended = role(MINIO_ENDPOINT="s3:9000", AETHER_CODE_DIR="")
        wrong(ended, "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")

    def test_worker_and_gateway_each_say_who_needs_it(self, role, capfd):
        role(ETCD_ENDPOINTS="")
        assert main(["worker"]) == ExitCode.USAGE
        assert "A worker needs" in capfd.readouterr().err

    @pytest.mark.parametrize(
        ("name", "settings"),
        [
            ("AETHER_ETCD_CA", {"ETCD_ENDPOINTS": "https://localhost:1"}),
            ("AETHER_REDIS_CA", {"REDIS_ADDR": "rediss://localhost:1"}),
            (
                "AETHER_S3_CA",
                {"MINIO_ENDPOINT": "https://a", "MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b"},
            ),
        ],
    )
    def test_authorities_that_can_not_be_read(self, role, tmp_path, name, settings):
        (tmp_path / "no.pem").write_text("no certificate")
        if name == "AETHER_S3_CA":
            settings |= {"AETHER_CODE_DIR": ""}
        wrong(role(**settings, **{name: "/none/there"}), f"{name}: can't use /none/there: No such file")
        wrong(role(**settings, **{name: tmp_path / "no.pem"}), f"{name}: can't use", "certificates (PEM)")

    @pytest.mark.parametrize(
        ("settings", "told"),
        [
            ({"AETHER_ETCD_CA": "/ca.pem"}, "AETHER_ETCD_CA is set, but ETCD_ENDPOINTS has no https://"),
            ({"AETHER_REDIS_CA": "/ca.pem"}, "AETHER_REDIS_CA is set, but REDIS_ADDR has no rediss://"),
        ],
    )
    def test_tls_that_is_set_up_and_not_spoken(self, role, settings, told):
        wrong(role(**settings), told)

    def test_certificate_without_its_key(self, role, tmp_path):
        chain, key = make_certificate(tmp_path)
        other, _ = make_certificate(tmp_path, "other")
        secure = {"ETCD_ENDPOINTS": "https://localhost:1"}
        wrong(role(**secure, AETHER_ETCD_CERT=chain), "AETHER_ETCD_KEY is missing")
        wrong(role(**secure, AETHER_ETCD_CERT=other, AETHER_ETCD_KEY=key), "AETHER_ETCD_KEY: can't use")


@contextmanager
def command(*words, **settings):
    """One of our commands as a process, and its stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aether.cli", *words],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]} | settings,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def line_with(process, text):
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"it ended without {text!r}")


def test_gateway_whose_database_is_not_the_clusters_is_refused(role, etcd_server):
    """As where AETHER_DATABASE_URL was forgotten: it would take all functions for gone."""
    key = text("/aether/database")
    asyncio.run(etcd_calls(etcd_server.url, ("kv/put", {"key": key, "value": text("of the others")})))
    try:
        code, said = role()
        assert code == ExitCode.REFUSED
        assert "another database" in said
        assert "AETHER_DATABASE_URL" in said
    finally:
        asyncio.run(etcd_calls(etcd_server.url, ("kv/deleterange", {"key": key})))


def test_stores_that_come_later_are_waited_for(tmp_path):
    settings = {"AETHER_CODE_DIR": str(tmp_path / "code"), "AETHER_DATA_DIR": str(tmp_path / "data")}
    etcd, store = EtcdServer(tmp_path), RedisServer(tmp_path)
    settings |= {"ETCD_ENDPOINTS": etcd.address, "REDIS_ADDR": store.address}
    words = ("gateway", "--port", "0", "--wait-for-stores")
    with command(*words, **settings) as process:
        try:
            assert "(ETCD_ENDPOINTS) can't be reached" in line_with(process, "Waiting: etcd")
            etcd.start()
            assert "(REDIS_ADDR) can't be reached" in line_with(process, "Waiting: Redis")
            store.start()
            line_with(process, "Waiting: Code")
            (tmp_path / "code").mkdir()
            line_with(process, "Aether's gateway is up")
            process.terminate()
            assert process.wait(20) == ExitCode.OK
        finally:
            etcd.kill()
            store.kill()


def test_who_waits_can_be_stopped(tmp_path):
    settings = {
        "AETHER_CODE_DIR": str(tmp_path),
        "AETHER_DATA_DIR": str(tmp_path / "data"),
        "ETCD_ENDPOINTS": f"127.0.0.1:{free_port()}",
        "REDIS_ADDR": "127.0.0.1:1",
    }
    with command("worker", "--wait-for-stores", AETHER_VMM="simulated", **settings) as process:
        line_with(process, "Waiting: etcd")
        process.terminate()
        assert line_with(process, "Stopped before it was up.")
        assert process.wait(20) == ExitCode.OK
