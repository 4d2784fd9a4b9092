"""The whole platform in one process: the composition behind `aether up`.

SQLite and local files under the data directory, registry and queue in memory, one worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from obstore.store import LocalStore

from aether.adapters.clock import SystemClock
from aether.adapters.memory.function_logs import MemoryFunctionLogs
from aether.adapters.memory.job_queue import MemoryJobQueue
from aether.adapters.memory.notifications import MemoryNotifications
from aether.adapters.memory.registry import MemoryRegistry
from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.objects.partial import sweep
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.cli.data_dir import PRIVATE
from aether.cli.roles.gateway import Around, make_api, make_gateway
from aether.cli.roles.worker import make_capacity, make_host
from aether.cli.settings import Settings
from aether.cli.stores.health import look_at
from aether.cli.stores.opened import Stores
from aether.controller.controller import Controller
from aether.domain.ids import new_id
from aether.http import Neighbours
from aether.ports.clock import Clock
from aether.ports.vmm import Runtime, Vmm
from aether.worker.capacity import Capacity
from aether.worker.worker import Worker


@asynccontextmanager
async def open_stores(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Stores]:
    """The embedded adapters; the registry starts with what the database holds."""
    clock = clock or SystemClock()
    settings.database.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    database = await open_database(sqlite_url(settings.database))
    try:
        functions = SqlFunctionStore(database)
        bucket = settings.data_dir / "function-code"
        await asyncio.to_thread(sweep, bucket)
        registry = MemoryRegistry()
        for function in await functions.list():
            await registry.put_function(function.to_config())
        yield Stores(
            functions=functions,
            invocations=SqlInvocationLog(database),
            code=ObjectCodeStore(LocalStore(bucket, mkdir=True)),
            registry=registry,
            jobs=MemoryJobQueue(clock),
            notifications=MemoryNotifications(),
            logs=MemoryFunctionLogs(),
            clock=clock,
        )
    finally:
        await database.close()


class Embedded:
    """Gateway, controller and worker over one set of stores; `run` is its whole life."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        vmm: Vmm,
        runtimes: dict[str, Runtime],
        capacity: Capacity | None = None,
    ) -> None:
        self._settings = settings
        self._capacity = capacity or make_capacity(settings, vmm)
        self._stores = stores
        self._vmm = vmm
        self._runtimes = runtimes
        self._neighbours = Neighbours()
        self.gateway = make_gateway(settings, stores, settings.sockets, self._neighbours)

    async def run(
        self,
        stop: asyncio.Event,
        on_ready: Callable[[tuple[str, int]], None],
        hurry: asyncio.Event | None = None,
    ) -> None:
        """Serve until `stop` is set; then running requests end, or are cut by `hurry`, and then all does."""
        stores = self._stores
        lease = await stores.registry.lease(new_id("wrk"))
        try:
            host = make_host(
                self._settings,
                stores,
                vmm=self._vmm,
                runtimes=self._runtimes,
                lease=lease,
                neighbours=self._neighbours,
            )
            worker = Worker(host, stores.registry, stores.jobs, self._capacity)
            controller = Controller(
                self.gateway.routes,
                self.gateway.activator,
                stores.registry,
                stores.clock,
                max_instances=self._settings.max_instances,
            )
            self.gateway.activator.room_can_be_made = controller.room_can_be_made
            stop_worker = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(worker.run(stop_worker), name="worker")
                scaling = group.create_task(controller.run(), name="controller")
                api = make_api(self._settings, stores, self.gateway, self._around())
                await self.gateway.run(api, stop, on_ready, hurry)
                scaling.cancel()
                stop_worker.set()
        finally:
            await lease.close()
            await self._vmm.close()

    def _around(self) -> Around:
        return Around(
            runtimes=self._runtimes,
            look_at_stores=lambda: look_at(()),
            vmm=self._vmm.name,
            accel=self._vmm.accel,
        )
