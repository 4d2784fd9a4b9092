"""Both hops as a platform has them, the edge and an instance's proxy, before a raw socket as the function."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import uvloop
from tests.peers import WAIT_S, Peer

from aether.adapters.clock import SystemClock
from aether.adapters.memory.job_queue import MemoryJobQueue
from aether.adapters.memory.registry import MemoryRegistry
from aether.domain.function import FunctionConfig, Limits, Version
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.invocation import Invocation
from aether.gateway.activator import Activator
from aether.gateway.edge import Edge
from aether.gateway.metrics import GatewayMetrics
from aether.gateway.recorder import Recorder
from aether.gateway.routes import RouteTable
from aether.http import Limits as RelayLimits
from aether.http import Neighbours, Relay, TlsSource, Upstream
from aether.ports.invocation_log import InvocationLog
from aether.ports.vmm import MachineSpec, Runtime
from aether.vmm.simulated.driver import SimulatedVmm
from aether.worker.hop import Hop
from aether.worker.instance_proxy import InstanceProxy

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@dataclass(frozen=True)
class RawMachine:
    """A machine whose function is the test itself, on a raw socket."""

    address: tuple[str, int]
    spec: MachineSpec

    async def ended(self):
        await asyncio.Event().wait()


class BothHops:
    """`connect` for clients, `function()` for the connections that reach the function."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[Peer] = asyncio.Queue()
        self._peers: list[Peer] = []
        self.address = ("", 0)
        self.proxy_address = ("127.0.0.1", 0)
        self.cut: Callable[[datetime | None], Awaitable[Invocation]]
        """End the instance under its only call, having told that it drains until then; what is recorded."""

    async def accept(self, reader, writer) -> None:
        peer = Peer(reader, writer)
        self._peers.append(peer)
        self._arrived.put_nowait(peer)

    async def function(self) -> Peer:
        async with asyncio.timeout(WAIT_S):
            return await self._arrived.get()

    async def connect(self, tls: ssl.SSLContext | None = None) -> Peer:
        name = "localhost" if tls else None
        peer = Peer(*await asyncio.open_connection(*self.address, ssl=tls, server_hostname=name))
        self._peers.append(peer)
        return peer

    async def to_proxy(self) -> Peer:
        """Past the gateway."""
        peer = Peer(*await asyncio.open_connection(*self.proxy_address))
        self._peers.append(peer)
        return peer

    async def close(self) -> None:
        for peer in self._peers:
            peer.writer.transport.abort()
        for peer in self._peers:
            with contextlib.suppress(OSError):
                await peer.writer.wait_closed()


@dataclass
class Between:
    """What the two hops know of each other; by default nothing, and they ask nothing."""

    cluster_key: str = ""
    """What the gateway sends."""
    upstream_tls: TlsSource | None = None
    hop: Hop = field(default_factory=lambda: Hop(SystemClock()))
    """What the proxy asks."""
    address: dict[str, object] = field(default_factory=dict)
    """Fields of the instance's record, where it tells of something that isn't so."""

    def record(self, port: int) -> Instance:
        """Of the instance, whose proxy listens there."""
        told = Instance(
            "ins-1", "fn-1", "wrk-1", "127.0.0.1", port, "10.0.2.15", InstanceStatus.READY, NOW, 1
        )
        told = replace(told, tls=self.hop.tls is not None, keyed=self.hop.keyed)
        return replace(told, **self.address)


@asynccontextmanager
async def both_hops(
    limits: RelayLimits,
    function: Limits,
    *,
    tls: TlsSource | None = None,
    trusts: Callable[[str], bool] = lambda _host: False,
    neighbours: Neighbours | None = None,
    between: Between | None = None,
) -> AsyncIterator[BothHops]:
    between = between or Between()
    clock, registry, routes, hops = SystemClock(), MemoryRegistry(), RouteTable(), BothHops()
    activator = Activator(routes, MemoryJobQueue(clock), clock, gateway_id="gw-1")
    metrics = GatewayMetrics(routes, activator)
    # It keeps its records in memory: what would write them down is not running.
    recorder = Recorder(cast(InvocationLog, None), clock, metrics.dropped_records, keep=timedelta(days=1))
    server = await asyncio.start_server(hops.accept, "127.0.0.1", 0)
    version = Version(1, "node", "handler.js", "0" * 64, 1, 128, 3000, {})
    node = Runtime("node", Path("/none"), ("node",), "handler.js")
    spec = MachineSpec("ins-1", "fn-1", node, Path("/none"), "handler.js", 3000, 1, 128)
    machine = RawMachine(server.sockets[0].getsockname(), spec)
    proxy = InstanceProxy(
        SimulatedVmm(), machine, lambda: function, clock, neighbours=neighbours, hop=between.hop
    )
    edge = Edge(
        routes,
        activator,
        recorder,
        metrics,
        clock,
        api=Upstream(path="/nowhere"),
        api_keys=frozenset(),
        max_body_bytes=limits.max_body_bytes,
        cluster_key=between.cluster_key,
    )
    relay = Relay(
        edge,
        replace(limits, max_body_bytes=None),
        edge=True,
        trusts=trusts,
        neighbours=neighbours,
        tls=between.upstream_tls,
    )
    tasks = [asyncio.ensure_future(routes.follow(registry)), asyncio.ensure_future(activator.run())]
    try:
        async with proxy.listening("127.0.0.1", 30000) as port:
            await routes.loaded.wait()
            await registry.put_function(FunctionConfig("fn-1", "hello", version, function, None))
            lease = await registry.lease("wrk-1")
            instance = between.record(port)
            await lease.put_instance(instance)
            async with asyncio.timeout(WAIT_S):
                while not list(routes.slots("fn-1")):
                    await asyncio.sleep(0)

            async def cut(drain_until: datetime | None) -> Invocation:
                async with asyncio.timeout(WAIT_S):
                    if drain_until is not None:
                        going = replace(instance, status=InstanceStatus.DRAINING, drain_until=drain_until)
                        await lease.put_instance(going)
                        while [slot.instance for slot in routes.slots("fn-1")] != [going]:
                            await asyncio.sleep(0)
                    await proxy._relay.close()
                    while not recorder._buffer:
                        await asyncio.sleep(0)
                (recorded,) = recorder._buffer
                return recorded

            hops.cut = cut
            hops.proxy_address = ("127.0.0.1", port)
            hops.address = cast(tuple[str, int], await relay.listen("127.0.0.1", tls=tls))
            yield hops
            await hops.close()
            await relay.close()
            assert relay.in_flight == 0
    finally:
        await hops.close()
        await relay.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def neighbours(request) -> Neighbours | None:
    """None, as between processes; a test that is parametrized with True has both hops in one."""
    return Neighbours() if getattr(request, "param", False) else None


@pytest.fixture
async def hops(neighbours) -> AsyncIterator[Callable[..., Awaitable[BothHops]]]:
    """Makes both hops; keywords are limits of the edge's relay, or `function`, `tls`, `trusts`
    and `between`."""
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            *, function=None, tls=None, trusts=lambda _host: False, between=None, **limits
        ) -> BothHops:
            made = both_hops(
                RelayLimits(**limits),
                function or Limits(),
                tls=tls,
                trusts=trusts,
                neighbours=neighbours,
                between=between,
            )
            return await stack.enter_async_context(made)

        yield start
    assert errors == []


def make_certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """A self-signed certificate for that name, and its key."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-keyout", key, "-out", chain, "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName=DNS:{name}"),
        ],
        check=True,
        capture_output=True,
    )
    return chain, key


def trusting(*chains: Path) -> ssl.SSLContext:
    """A client's context that trusts these certificates and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for chain in chains:
        context.load_verify_locations(chain)
    return context
