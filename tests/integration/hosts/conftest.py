"""A gateway, and hosts of instances that can be cut off: network namespaces of this machine."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvloop
from fastapi import FastAPI
from tests.cluster.host import Host
from tests.cluster.network import Network
from tests.cluster.shell import run

from aether.cli.embedded import open_stores
from aether.cli.settings import load_settings
from aether.domain.function import Function, FunctionConfig, Limits, Version
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import Worker
from aether.gateway.gateway import Gateway, GatewaySettings
from aether.ports.registry import Registry

PORT = 30000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 1 << 30


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


class Responding(Host):
    """A host on which one instance of the function `hello` answers with the host's name."""

    responder: subprocess.Popen[bytes]

    def start(self) -> None:
        super().start()
        command = [sys.executable, str(Path(__file__).with_name("responder.py")), self.address, str(PORT)]
        self.responder = subprocess.Popen(
            self.inside([*command, self.name]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert self.responder.stdout is not None
        assert self.responder.stdout.readline() == b"ready\n"

    def pause(self) -> None:
        (process,) = self.processes("responder.py")
        os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        (process,) = self.processes("responder.py")
        os.kill(process, signal.SIGCONT)
        self.responder.send_signal(signal.SIGCONT)  # nsenter stops with the one that it waits for

    def stop(self) -> None:
        super().stop()
        self.responder.send_signal(signal.SIGCONT)
        self.responder.wait()
        if self.responder.stdout is not None:
            self.responder.stdout.close()

    def instance(self) -> Instance:
        return Instance(
            f"ins-{self.name}", "fn-1", self.name, self.address, PORT, "", InstanceStatus.READY, NOW, 1
        )

    def record(self) -> Worker:
        """Full: nothing new is started there."""
        return Worker(self.name, self.name, self.address, 2, GIB, "0", datetime.now(UTC), 0, 0)


@pytest.fixture
def network() -> Iterator[Network]:
    if os.geteuid() != 0:
        pytest.skip("hosts are network namespaces, which root alone can make")
    bridge = f"aeh{secrets.token_hex(2)}"
    try:
        it = Network(bridge)
    except RuntimeError as error:
        pytest.skip(f"no bridge can be made here: {error}")
    try:
        yield it
    finally:
        run(f"ip link delete {bridge}")


@pytest.fixture
def hosts(network) -> Iterator[tuple[Responding, Responding]]:
    both = Responding(network, 1), Responding(network, 2)
    try:
        for host in both:
            host.start()
        yield both
    finally:
        for host in both:
            host.stop()


class Beating:
    """Heartbeats of workers, each until it is stopped."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.stopped: set[str] = set()

    async def beat(self, hosts: tuple[Responding, ...]) -> None:
        leases = {host.name: await self._registry.lease(host.name) for host in hosts}
        for host in hosts:
            await leases[host.name].put_instance(host.instance())
        while True:
            for host in hosts:
                if host.name not in self.stopped:
                    await leases[host.name].put_worker(host.record())
            await asyncio.sleep(0.5)


class Served:
    def __init__(self, client: httpx.AsyncClient, gateway: Gateway, beating: Beating) -> None:
        self.client = client
        self.gateway = gateway
        self.beating = beating

    @property
    def function(self) -> FunctionConfig:
        found = self.gateway.routes.find("fn-1")
        assert found is not None
        return found

    async def who(self) -> str:
        answer = await self.client.get("/functions/hello/")
        return answer.text if answer.status_code == httpx.codes.OK else str(answer.status_code)


@asynccontextmanager
async def gateway_before(hosts: tuple[Responding, ...], folder: Path) -> AsyncIterator[Served]:
    """The gateway's role, as `aether gateway` runs it, but for its stores."""
    settings = load_settings(data_dir=folder)
    stop, hurry = asyncio.Event(), asyncio.Event()
    address = asyncio.get_running_loop().create_future()
    async with open_stores(settings) as stores:
        gateway = Gateway(
            GatewaySettings("127.0.0.1", 0, folder / "api.sock", frozenset(), timedelta(days=1)),
            registry=stores.registry,
            jobs=stores.jobs,
            functions=stores.functions,
            invocations=stores.invocations,
            clock=stores.clock,
        )
        version = Version(1, "node", "handler.js", "0" * 64, 1, 128, 3000, {})
        function = Function("fn-1", "hello", version, "", NOW, NOW, Limits(timeout_s=20))
        await stores.functions.create(function)
        await stores.registry.put_function(function.to_config())
        beating = Beating(stores.registry)
        beats = asyncio.ensure_future(beating.beat(hosts))
        serving = asyncio.ensure_future(gateway.run(FastAPI(), stop, address.set_result, hurry))
        try:
            await asyncio.wait({serving, address}, return_when=asyncio.FIRST_COMPLETED)
            host, port = address.result()
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(
                base_url=f"http://{host}:{port}", timeout=30, limits=limits, trust_env=False
            ) as client:
                async with asyncio.timeout(5):
                    while len(gateway.routes.instances("fn-1")) < len(hosts):
                        await asyncio.sleep(0.01)
                yield Served(client, gateway, beating)
        finally:
            beats.cancel()
            stop.set()
            hurry.set()
            await asyncio.gather(beats, serving, return_exceptions=True)
        serving.result()
