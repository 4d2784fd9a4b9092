"""What workers and controllers open of the stores that all share; gateways have SQL beside it.

That is a file of its own: its libraries take as long to import as all others, and calls wait while a worker
restarts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from aether.adapters.clock import SystemClock
from aether.adapters.etcd.election import EtcdElection
from aether.adapters.etcd.registry import EtcdRegistry
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.function_logs import RedisFunctionLogs
from aether.adapters.redis.job_queue import RedisJobQueue
from aether.adapters.redis.notifications import RedisNotifications
from aether.cli.settings import Settings
from aether.cli.stores import etcd, redis
from aether.cli.stores.code import Code
from aether.cli.stores.etcd import open_etcd
from aether.cli.stores.failing import ready, unless
from aether.cli.stores.health import Probe
from aether.cli.stores.opened import ControllerStores, WorkerStores
from aether.cli.stores.redis import open_redis
from aether.ports.election import Election

T_co = TypeVar("T_co", bound=ControllerStores, covariant=True)


@dataclass(frozen=True, slots=True)
class Opened(Generic[T_co]):
    """`probes` tell how the stores are."""

    stores: T_co
    election: Election
    probes: tuple[Probe, ...]


@asynccontextmanager
async def open_worker_stores(
    settings: Settings, stop: asyncio.Event, *, wait: bool
) -> AsyncIterator[Opened[WorkerStores]]:
    """All but SQL. Raises StoreFailed, InvalidSettings, StoppedBefore."""
    async with AsyncExitStack() as stack:
        async with unless(stop):
            opened = await open_shared(settings, stack, wait=wait)
        yield opened


@asynccontextmanager
async def open_controller_stores(
    settings: Settings, stop: asyncio.Event, *, wait: bool
) -> AsyncIterator[Opened[ControllerStores]]:
    """etcd and Redis alone."""
    async with AsyncExitStack() as stack:
        async with unless(stop):
            opened = (await _open_engines(settings, stack, wait=wait)).opened
        yield opened


@dataclass(frozen=True, slots=True)
class _Engines:
    opened: Opened[ControllerStores]
    redis: RedisClients


async def open_shared(settings: Settings, stack: AsyncExitStack, *, wait: bool) -> Opened[WorkerStores]:
    engines = await _open_engines(settings, stack, wait=wait)
    opened, clients = engines.opened, engines.redis
    code = Code(settings)
    stores = WorkerStores(
        code=await ready(code.open, wait=wait),
        registry=opened.stores.registry,
        jobs=opened.stores.jobs,
        notifications=await stack.enter_async_context(aclosing(RedisNotifications(clients))),
        logs=await stack.enter_async_context(aclosing(RedisFunctionLogs(clients))),
        clock=opened.stores.clock,
    )
    return Opened(stores, opened.election, (*opened.probes, Probe(code.target, code.open)))


async def _open_engines(settings: Settings, stack: AsyncExitStack, *, wait: bool) -> _Engines:
    gateway = await stack.enter_async_context(open_etcd(settings, wait=wait))
    clients = await stack.enter_async_context(open_redis(settings, wait=wait))
    stores = ControllerStores(
        registry=await stack.enter_async_context(aclosing(EtcdRegistry(gateway))),
        jobs=await stack.enter_async_context(aclosing(RedisJobQueue(clients))),
        clock=SystemClock(),
    )
    election = await stack.enter_async_context(aclosing(EtcdElection(gateway)))
    probes = (
        Probe(etcd.etcd_target(settings), lambda: etcd.look(settings, gateway)),
        Probe(redis.redis_target(settings), lambda: redis.look(settings, clients)),
    )
    return _Engines(Opened(stores, election, probes), clients)
