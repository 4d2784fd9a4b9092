"""The gateway's role: the edge in front, the management API behind it, and what keeps both current."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from aether.domain.errors import StoreUnavailable
from aether.domain.ids import new_id
from aether.gateway.activator import Activator
from aether.gateway.api_server import serve_api
from aether.gateway.edge import Edge
from aether.gateway.good_versions import GoodVersions
from aether.gateway.metrics import GatewayMetrics
from aether.gateway.places import upstream_of
from aether.gateway.reach import Reach
from aether.gateway.recorder import Recorder
from aether.gateway.repair import ConfigRepair, require_same_database
from aether.gateway.routes import RouteTable
from aether.gateway.settled import SettledRegistry
from aether.gateway.silence import Silence
from aether.gateway.telling import Telling
from aether.gateway.tls import Certificate
from aether.gateway.worker_reach import WorkerReach
from aether.http import Limits, MutualTls, Neighbours, Relay, Seat, Upstream
from aether.ports.clock import Clock
from aether.ports.function_store import FunctionStore
from aether.ports.invocation_log import InvocationLog
from aether.ports.job_queue import JobQueue
from aether.ports.registry import Registry

BACKLOG = 1024
API_KEEPALIVE_S = 4.0
"""uvicorn closes an idle connection after 5 s; the relay drops it before."""
MAX_ATTEMPTS = 1000
"""Instances tried for a request: its deadline ends that sooner, and full ones are asked more than once."""
CONNECT_TIMEOUT_S = 1.25
"""To an instance's proxy; then another is tried. One packet may be lost: it is sent again after a second."""
SILENCE_S = 4.0
"""An instance's host that acknowledges nothing for so long is gone."""
REPAIRED_WITHIN_S = 5.0
"""Who starts waits so long for what the registry lacks: without its database it serves what it knows."""
IDLE_GRACE_S = 1.0
"""How long idle connections of clients stay when the gateway stops: a request may be on its way."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    host: str
    port: int
    """0 takes a free one."""
    api_socket: Path
    api_keys: frozenset[str]
    keep_invocations: timedelta
    base_domain: str = ""
    """`{name}.{base_domain}` leads to the function of that name; empty for none."""
    limits: Limits = field(default_factory=Limits)
    """Of clients' connections; `max_body_bytes` is that of calls, archives have their own."""
    certificate: tuple[Path, Path] | None = None
    """Chain and key to serve HTTPS with."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    drain_timeout_s: float = 35.0
    """When it stops, what has no answer by then gets 503, and streams are cut. Longer than the deadline
    of calls that have the default."""
    stop_pause_s: float = 0.0
    """Before it stops accepting: so long `/readyz` says no already, for front proxies to see."""
    cluster_key: str = ""
    """Instances' proxies that want it get it."""
    hop_tls: MutualTls | None = None
    """For connections to proxies that speak TLS."""
    seat: Seat | None = None
    """It listens with other processes, on a port that is bound already."""


class Gateway:
    """`run` is its whole life. `routes`, `activator` and `metrics` are there for who composes the roles."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        registry: Registry,
        jobs: JobQueue,
        functions: FunctionStore,
        invocations: InvocationLog,
        clock: Clock,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._settings = settings
        self._certificate = Certificate(*settings.certificate) if settings.certificate else None
        self._hop_tls = settings.hop_tls
        self._neighbours = neighbours
        self._registry = registry
        self._functions = functions
        self._clock = clock
        self.stopping = asyncio.Event()
        """Set when it begins to stop: from then on it waits for what runs."""
        self.routes = RouteTable(settings.base_domain)
        self.id = new_id("gw")
        self.activator = Activator(self.routes, jobs, clock, gateway_id=self.id)
        self.telling = Telling(
            registry, clock, self.id, self.activator.asks, unreachable=self.routes.unreachable
        )
        self.activator.on_news(self.telling.news)
        self._good_versions = GoodVersions(functions, registry)
        self.routes.on_ready = self._good_versions.seen_ready
        settled = SettledRegistry(registry, self.routes)
        self._repair = ConfigRepair(functions, settled, self.routes.generations, self.routes.forget)
        self.routes.on_view = self._repair.soon
        self.metrics = GatewayMetrics(self.routes, self.activator)
        self._recorder = Recorder(
            invocations, clock, self.metrics.dropped_records, keep=settings.keep_invocations
        )

    def not_ready(self) -> str:
        """Why this gateway should get no traffic; empty when it should."""
        if self.stopping.is_set():
            return "it is stopping"
        if not self.routes.loaded.is_set():
            return "it does not know yet what there is"
        if self._neighbours is None:
            # Other gateways have the same workers: a balancer is not to lose all of them for one reason.
            return ""
        if not self.routes.workers:
            return "no worker is there"
        return "every worker drains" if all(w.draining for w in self.routes.workers.values()) else ""

    def _trusts(self, host: str) -> bool:
        """Whether a client at that address is a front proxy that we believe."""
        networks = self._settings.trusted_proxies
        return bool(networks and host) and any(ip_address(host) in network for network in networks)

    async def run(
        self,
        api: FastAPI,
        stop: asyncio.Event,
        on_ready: Callable[[tuple[str, int]], None],
        hurry: asyncio.Event | None = None,
    ) -> None:
        """Serve until `stop` is set, then let running requests end; those that `hurry` finds are cut.

        `on_ready` hears the address. Raises OSError when it is taken, OtherDatabase.
        """
        with suppress(StoreUnavailable):  # then the repair looks at it, when they are there
            await require_same_database(self._functions, self._registry)
        reach, worker_reach = Reach(self.routes, self._clock), WorkerReach(self.routes, self._clock)
        reach.on_host = worker_reach.host
        edge = Edge(
            self.routes,
            self.activator,
            self._recorder,
            self.metrics,
            self._clock,
            api=Upstream(path=str(self._settings.api_socket)),
            api_keys=frozenset(key.encode() for key in self._settings.api_keys),
            max_body_bytes=self._settings.limits.max_body_bytes,
            reach=reach,
            cluster_key=self._settings.cluster_key,
        )
        seat = self._settings.seat
        listening = seat.listening if seat else _listen(self._settings.host, self._settings.port)
        relay = Relay(
            edge,
            replace(
                self._settings.limits,
                max_body_bytes=None,
                upstream_idle_s=API_KEEPALIVE_S,
                max_attempts=MAX_ATTEMPTS,
                connect_timeout_s=CONNECT_TIMEOUT_S,
                upstream_silence_s=SILENCE_S,
            ),
            edge=True,
            trusts=self._trusts,
            neighbours=self._neighbours,
            tls=self._hop_tls.context if self._hop_tls else None,
            seat=seat,
        )
        # An instance that drains ends when its last connection does.
        self.routes.on_leaving = lambda i: relay.forget(upstream_of(i))
        api_stop = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self.routes.follow(self._registry), name="route table"),
                    group.create_task(self.activator.run(), name="activator"),
                    group.create_task(self._good_versions.run(), name="good versions"),
                    group.create_task(self._recorder.run(), name="recorder"),
                    group.create_task(reach.run(relay.reach), name="reach"),
                    group.create_task(worker_reach.run(), name="worker reach"),
                    group.create_task(Silence(self.routes, self._clock).run(), name="silence"),
                ]
                group.create_task(serve_api(api, self._settings.api_socket, api_stop), name="API server")
                tls = None
                if self._certificate is not None:
                    tls = self._certificate.context
                    tasks.append(group.create_task(self._certificate.follow(), name="certificate"))
                if self._hop_tls is not None:
                    tasks.append(group.create_task(self._hop_tls.follow(), name="hop certificate"))
                await self.routes.loaded.wait()
                tasks.append(group.create_task(self._repair.run(), name="configuration repair"))
                with suppress(TimeoutError):
                    async with asyncio.timeout(REPAIRED_WITHIN_S):
                        await self._repair.tried.wait()
                address = await relay.listen(sock=listening, tls=tls)
                assert not isinstance(address, str)
                self.telling.address = f"{address[0]}:{address[1]}"
                tasks.append(group.create_task(self.telling.run(), name="gateway record"))
                on_ready(address)
                await stop.wait()
                self.stopping.set()
                hurry = hurry or asyncio.Event()
                relay.wind_down()
                await _unless(hurry, asyncio.sleep(self._settings.stop_pause_s))
                drained = relay.drain(self._settings.drain_timeout_s, idle_grace_s=IDLE_GRACE_S)
                await _unless(hurry, drained)
                self.activator.give_up()
                await relay.give_up()
                await relay.close()
                api_stop.set()
                for task in tasks:
                    task.cancel()
        finally:
            await relay.close()


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, object]) -> None:
    """Do it, or give up when the event comes."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)


def _listen(host: str, port: int) -> socket.socket:
    """Before anything else starts, so that a port that is taken costs nothing. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)
