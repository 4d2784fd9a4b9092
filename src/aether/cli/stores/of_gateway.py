"""What a gateway opens of the stores that all share: those of a worker, and the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.cli.settings import Settings
from aether.cli.stores import sql
from aether.cli.stores.failing import unless
from aether.cli.stores.health import Probe
from aether.cli.stores.opened import Stores
from aether.cli.stores.shared import Opened, open_shared
from aether.cli.stores.sql import open_sql, sql_target


@asynccontextmanager
async def open_gateway_stores(
    settings: Settings, stop: asyncio.Event, *, wait: bool
) -> AsyncIterator[Opened[Stores]]:
    """Raises StoreFailed, InvalidSettings, StoppedBefore."""
    async with AsyncExitStack() as stack:
        async with unless(stop):
            opened = await open_shared(settings, stack, wait=wait)
            database = await stack.enter_async_context(open_sql(settings, wait=wait))
        shared = opened.stores
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
        probe = Probe(sql_target(settings), lambda: sql.look(database))
        yield Opened(stores, opened.election, (*opened.probes, probe))
