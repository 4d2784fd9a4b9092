"""`aether gateway --processes`: on one port, as one gateway to whoever looks."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families
from tests.engines import EtcdServer, RedisServer, free_port, running
from tests.integration.platform.conftest import archive

from aether.cli.failures import ExitCode

WITHIN_S = 40
KEY = "ak-test-of-processes"


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


class Role:
    """A command in the background, and what it says."""

    def __init__(self, *arguments: str, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "aether.cli", *arguments],
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=log.parent,
            )

    def said(self) -> str:
        return self.log.read_text()

    async def says(self, text: str) -> None:
        async with asyncio.timeout(WITHIN_S):
            while text not in self.said():
                assert self.process.poll() is None, self.said()
                await asyncio.sleep(0.02)

    def children(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    async def ended(self) -> int:
        async with asyncio.timeout(WITHIN_S):
            while self.process.poll() is None:
                await asyncio.sleep(0.02)
        return self.process.returncode

    def end(self) -> None:
        """The processes of a killed gateway end by themselves, in their time: these are not waited for."""
        children = self.children() if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


class Gateway:
    def __init__(self, role: Role, port: int) -> None:
        self.role = role
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def client(self) -> httpx.AsyncClient:
        """With connections of its own."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=30, limits=limits, trust_env=False
        )

    async def totals(self, client: httpx.AsyncClient) -> Counter[str]:
        """Of the samples of `/metrics`, by name."""
        text = (await client.get("/metrics")).text
        totals: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                totals[sample.name] += sample.value
        return totals


@pytest.fixture
def environment(tmp_path):
    """Over stores of its own: etcd remembers which database its gateways have."""
    (tmp_path / "code").mkdir()
    with running(EtcdServer) as etcd, running(RedisServer) as redis:
        yield {
            "ETCD_ENDPOINTS": etcd.address,
            "REDIS_ADDR": redis.address,
            "AETHER_CODE_DIR": str(tmp_path / "code"),
            "AETHER_DATA_DIR": str(tmp_path / "gateway"),
            "AETHER_API_KEY": KEY,
            "AETHER_VMM": "simulated",
            "AETHER_WORKER_PORT": "0",
        }


@pytest.fixture
async def gateway(tmp_path, environment):
    """Two processes, a worker of simulated instances, and a function `hello`."""
    port = free_port()
    worker = Role(
        "worker",
        environment=environment | {"AETHER_DATA_DIR": str(tmp_path / "worker")},
        log=tmp_path / "worker.log",
    )
    role = Role(
        *("gateway", "--with-controller", "--processes", "2", "--port", str(port)),
        environment=environment,
        log=tmp_path / "gateway.log",
    )
    try:
        await worker.says(" is up")
        await role.says("(2 processes)")
        it = Gateway(role, port)
        async with it.client() as client:
            await deploy(client)
        yield it
    finally:
        role.end()
        worker.end()


async def deploy(client: httpx.AsyncClient) -> None:
    made = await client.post("/api/functions", json={"name": "hello", "runtime": "node"})
    assert made.status_code == 201, made.text
    stored = await client.post(
        "/api/functions/hello/code", content=archive(), headers={"X-Filename": "code.tar.gz"}
    )
    assert stored.status_code == 200, stored.text
    assert (await client.get("/functions/hello/")).status_code == 200


async def open_many(port: int, count: int) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]


def connections_of(pid: int, port: int) -> int:
    """Established ones from clients, by the kernel."""
    theirs = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if match := re.fullmatch(r"socket:\[(\d+)\]", str(fd.readlink())):
                theirs.add(match[1])
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    here = f":{port:04X}"
    return sum(w[1].endswith(here) and w[3] == "01" and w[9] in theirs for w in map(str.split, lines))


async def test_processes_share_connections_metrics_and_crashes(gateway):
    """One start for all of it: it takes some seconds."""
    role, port = gateway.role, gateway.port
    one, other = role.children()
    held = await open_many(port, 20)
    try:
        async with asyncio.timeout(10):
            while connections_of(one, port) + connections_of(other, port) < len(held):
                await asyncio.sleep(0.02)
        assert min(connections_of(one, port), connections_of(other, port)) >= len(held) // 4
    finally:
        for connection in held:
            connection.close()

    async def call(client: httpx.AsyncClient) -> int:
        return (await client.get("/functions/hello/")).status_code

    async with gateway.client() as client:
        before = (await gateway.totals(client))["aether_requests_total"]
        assert set(await asyncio.gather(*(call(client) for _ in range(40)))) == {200}
        for _ in range(4):
            totals = await gateway.totals(client)
            assert totals["aether_requests_total"] == before + 40
            assert totals["aether_gateway_processes"] == 2
            assert totals["aether_workers"] == 1
        assert (await client.get("/readyz")).status_code == 200

    # A crash: who had no request in it notices nothing, and what was counted stays counted.
    os.kill(one, signal.SIGKILL)
    async with gateway.client() as client:
        codes = await asyncio.gather(*(call(client) for _ in range(20)))
        assert set(codes) == {200}
        assert (await gateway.totals(client))["aether_requests_total"] == before + 60
        async with asyncio.timeout(WITHIN_S):
            while (await gateway.totals(client))["aether_gateway_processes"] < 2:
                await asyncio.sleep(0.05)
        assert (await gateway.totals(client))["aether_requests_total"] == before + 60
    assert other in role.children()
    assert len(role.children()) == 2

    # An end, with everybody signalled as service managers do: nobody who got a connection is let down.
    ended = asyncio.gather(*(calls_until_refused(port) for _ in range(8)))
    await asyncio.sleep(0.1)
    for pid in (*role.children(), role.process.pid):
        os.kill(pid, signal.SIGTERM)
    assert await role.ended() == 0
    assert {error for errors in await ended for error in errors} == set()
    assert role.said().count("Stopped.") == 1


async def calls_until_refused(port: int) -> list[str]:
    """A connection for each call; what went wrong other than that nobody listens any more."""
    errors = []
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return errors
        except OSError:  # in the very moment in which the port closes
            continue
        try:
            writer.write(b"GET /functions/hello/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            if not answer.startswith(b"HTTP/1.1 200"):
                errors.append(repr(answer[:60]))
        except OSError as error:
            errors.append(repr(error))
        finally:
            writer.close()


@pytest.mark.slow
async def test_processes_end_with_the_one_that_started_them(gateway):
    children = gateway.role.children()
    gateway.role.process.kill()
    async with asyncio.timeout(WITHIN_S):
        while any(Path(f"/proc/{pid}").exists() for pid in children):
            await asyncio.sleep(0.05)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gateway.port))


@pytest.mark.slow
async def test_what_keeps_all_processes_from_starting_ends_the_command_with_its_exit_code(
    tmp_path, environment
):
    role = Role(
        *("gateway", "--processes", "2", "--port", "0"),
        environment=environment | {"ETCD_ENDPOINTS": f"127.0.0.1:{free_port()}"},
        log=tmp_path / "gateway.log",
    )
    try:
        assert await role.ended() == ExitCode.STORE
        assert "ETCD_ENDPOINTS" in role.said()
        assert "Traceback" not in role.said()
    finally:
        role.end()


@pytest.mark.slow
async def test_a_port_that_is_taken_is_told_once(tmp_path, environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        role = Role(
            *("gateway", "--processes", "2", "--port", str(taken.getsockname()[1])),
            environment=environment,
            log=tmp_path / "gateway.log",
        )
        try:
            assert await role.ended() == ExitCode.REFUSED
            assert role.said().count("is in use") == 1
        finally:
            role.end()
