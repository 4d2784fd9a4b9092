"""What each role opens of the stores that all share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from aether.adapters.clock import SystemClock
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.function_logs import RedisFunctionLogs
from aether.adapters.redis.job_queue import RedisJobQueue
from aether.adapters.redis.notifications import RedisNotifications
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.cli.settings import Settings
from aether.cli.stores.code import open_code
from aether.cli.stores.etcd import open_etcd, open_registry
from aether.cli.stores.failing import unless
from aether.cli.stores.opened import Stores, WorkerStores
from aether.cli.stores.redis import open_redis
from aether.cli.stores.sql import open_sql


@asynccontextmanager
async def open_gateway_stores(
    settings: Settings, stop: asyncio.Event, *, wait: bool
) -> AsyncIterator[tuple[Stores, JsonGateway]]:
    """With etcd's client, for what is not of the registry. Raises StoreFailed, StoppedBefore."""
    async with AsyncExitStack() as stack:
        async with unless(stop):
            shared, etcd = await _open_shared(settings, stack, wait=wait)
            database = await stack.enter_async_context(open_sql(settings, wait=wait))
        stores = Stores(
            code=shared.code,
            registry=shared.registry,
            jobs=shared.jobs,
            notifications=shared.notifications,
            logs=shared.logs,
            clock=shared.clock,
            functions=SqlFunctionStore(database),
            invocations=SqlInvocationLog(database),
        )
        yield stores, etcd


@asynccontextmanager
async def open_worker_stores(
    settings: Settings, stop: asyncio.Event, *, wait: bool
) -> AsyncIterator[tuple[WorkerStores, JsonGateway]]:
    """As `open_gateway_stores`, but for SQL, which a worker has no business with."""
    async with AsyncExitStack() as stack:
        async with unless(stop):
            opened = await _open_shared(settings, stack, wait=wait)
        yield opened


async def _open_shared(
    settings: Settings, stack: AsyncExitStack, *, wait: bool
) -> tuple[WorkerStores, JsonGateway]:
    etcd = await stack.enter_async_context(open_etcd(settings, wait=wait))
    redis: RedisClients = await stack.enter_async_context(open_redis(settings, wait=wait))
    return (
        WorkerStores(
            code=await stack.enter_async_context(open_code(settings, wait=wait)),
            registry=await stack.enter_async_context(open_registry(etcd)),
            jobs=await stack.enter_async_context(aclosing(RedisJobQueue(redis))),
            notifications=await stack.enter_async_context(aclosing(RedisNotifications(redis))),
            logs=await stack.enter_async_context(aclosing(RedisFunctionLogs(redis))),
            clock=SystemClock(),
        ),
        etcd,
    )
