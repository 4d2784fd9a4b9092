"""A gateway, and the management API behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI

from aether.cli.data_dir import api_key
from aether.cli.edge_settings import certificate, client_limits, trusted_proxies
from aether.cli.hop_settings import cluster_keys, hop_tls
from aether.cli.settings import InvalidSettings, Settings
from aether.cli.stores.opened import Stores
from aether.gateway.api import ApiDependencies, create_api
from aether.gateway.api.status_views import StoreHealth
from aether.gateway.gateway import Gateway, GatewaySettings
from aether.gateway.metrics_of_all import MetricsOfAll
from aether.gateway.routes import RouteTable
from aether.gateway.settled import SettledRegistry
from aether.http import Neighbours, Seat, Side
from aether.ports.registry import Entry
from aether.ports.vmm import Runtime

MB = 1_000_000
SHORTEST_KEY = 16
"""Characters of a key of the API that an operator sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a gateway's API tells of what is around it."""

    runtimes: Mapping[str, Runtime]
    look_at_stores: Callable[[], Awaitable[Sequence[StoreHealth]]]
    vmm: str = ""
    accel: str = ""
    together: MetricsOfAll | None = None
    """Where this process is one of several."""
    work: str | None = None
    """Its own folder for work then: it is swept at the start."""


def keys_of(settings: Settings) -> frozenset[str]:
    """Of the management API: the one that gateways share, or one made in the data directory.

    Raises InvalidSettings for one that could be guessed.
    """
    shared = settings.api_key.get_secret_value()
    if shared and len(shared) < SHORTEST_KEY:
        told = f"must have {SHORTEST_KEY} characters or more: openssl rand -hex 32"
        raise InvalidSettings(f"Settings are wrong: AETHER_API_KEY: {told}.")
    return frozenset({shared or api_key(settings.data_dir)})


def folders_of(settings: Settings, seat: Seat | None = None) -> list[Path]:
    """For sockets, beside those of a worker; of several processes each has one, that of `seat` first."""
    folder = settings.sockets / "gateway"
    if settings.processes == 1:
        return [folder]
    first = 0 if seat is None else seat.index
    indexes = sorted(range(settings.processes), key=lambda index: index != first)
    return [folder / str(index) for index in indexes]


def make_gateway(
    settings: Settings,
    stores: Stores,
    sockets: Path,
    neighbours: Neighbours | None = None,
    seat: Seat | None = None,
) -> Gateway:
    """`sockets` is a directory of this process. Raises InvalidSettings."""
    return Gateway(
        GatewaySettings(
            host=settings.host,
            port=settings.port,
            api_socket=sockets / "api.sock",
            api_keys=keys_of(settings),
            base_domain=settings.base_domain,
            keep_invocations=timedelta(days=settings.keep_invocations_days),
            limits=client_limits(settings),
            certificate=certificate(settings),
            trusted_proxies=trusted_proxies(settings),
            drain_timeout_s=settings.drain_timeout_s,
            stop_pause_s=settings.stop_pause_s,
            cluster_key=next(iter(cluster_keys(settings)), ""),
            hop_tls=hop_tls(settings, Side.CLIENT),
            seat=seat,
        ),
        registry=stores.registry,
        jobs=stores.jobs,
        functions=stores.functions,
        invocations=stores.invocations,
        clock=stores.clock,
        neighbours=neighbours,
    )


def make_api(settings: Settings, stores: Stores, gateway: Gateway, around: Around) -> FastAPI:
    return create_api(
        ApiDependencies(
            functions=stores.functions,
            code=stores.code,
            invocations=stores.invocations,
            logs=stores.logs,
            registry=SettledRegistry(stores.registry, gateway.routes),
            notifications=stores.notifications,
            clock=stores.clock,
            runtimes=around.runtimes,
            work_dir=settings.data_dir / "work" / (around.work or ""),
            api_keys=keys_of(settings) if settings.auth == "on" else None,
            rollout=lambda function: gateway.activator.rollout(function.to_config()),
            start=lambda function: gateway.activator.start_newest(function.to_config()),
            rolled_out=gateway.routes.rolled_out,
            not_ready=gateway.not_ready,
            stopping=gateway.stopping,
            metrics=gateway.metrics.registry,
            metrics_of_all=around.together,
            look_at_stores=around.look_at_stores,
            last_known=lambda: _known(gateway.routes),
            vmm=around.vmm,
            accel=around.accel,
            max_archive_bytes=settings.max_archive_mb * MB,
        )
    )


def _known(routes: RouteTable) -> Iterator[Entry]:
    """What the registry last said."""
    yield from routes.workers.values()
    yield from routes.gateways.values()
    for function in routes.functions():
        yield function
        yield from routes.instances(function.id)
