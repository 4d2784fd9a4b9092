"""The whole platform in one process: the composition behind `aether up`.

SQLite and local files under the data directory, registry and queue in memory, one worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from fastapi import FastAPI
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
from aether.cli.data_dir import PRIVATE, api_key
from aether.cli.edge_settings import certificate, client_limits, trusted_proxies
from aether.cli.settings import Settings
from aether.controller.controller import Controller
from aether.domain.ids import new_id
from aether.gateway.api import ApiDependencies, create_api
from aether.gateway.gateway import Gateway, GatewaySettings
from aether.gateway.settled import SettledRegistry
from aether.http import Neighbours
from aether.ports.clock import Clock
from aether.ports.code_store import CodeStore
from aether.ports.function_logs import FunctionLogs
from aether.ports.function_store import FunctionStore
from aether.ports.invocation_log import InvocationLog
from aether.ports.job_queue import JobQueue
from aether.ports.notifications import Notifications
from aether.ports.registry import Lease, Registry
from aether.ports.vmm import Runtime, Vmm
from aether.vmm.cgroups import HostMemory
from aether.worker.capacity import Capacity
from aether.worker.code_cache import CodeCache
from aether.worker.host import Host
from aether.worker.worker import Worker

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Stores:
    """Every port but the VMM, opened."""

    functions: FunctionStore
    invocations: InvocationLog
    code: CodeStore
    registry: Registry
    jobs: JobQueue
    notifications: Notifications
    logs: FunctionLogs
    clock: Clock


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
        self._capacity = capacity or Capacity(
            HostMemory(),
            resident=vmm.resident,
            overhead_mib=vmm.overhead_mib,
            max_instances=settings.max_instances,
        )
        self._stores = stores
        self._vmm = vmm
        self._runtimes = runtimes
        self._keys = frozenset({api_key(settings.data_dir)})
        self._neighbours = Neighbours()
        self.gateway = Gateway(
            GatewaySettings(
                host=settings.host,
                port=settings.port,
                api_socket=settings.sockets / "api.sock",
                api_keys=self._keys,
                base_domain=settings.base_domain,
                keep_invocations=timedelta(days=settings.keep_invocations_days),
                limits=client_limits(settings),
                certificate=certificate(settings),
                trusted_proxies=trusted_proxies(settings),
                drain_timeout_s=settings.drain_timeout_s,
            ),
            registry=stores.registry,
            jobs=stores.jobs,
            functions=stores.functions,
            invocations=stores.invocations,
            clock=stores.clock,
            neighbours=self._neighbours,
        )

    async def run(
        self,
        stop: asyncio.Event,
        on_ready: Callable[[tuple[str, int]], None],
        hurry: asyncio.Event | None = None,
    ) -> None:
        """Serve until `stop` is set; then running requests end, or are cut by `hurry`, and then all does."""
        stores = self._stores
        worker_id = new_id("wrk")
        lease = await stores.registry.lease(worker_id)
        try:
            worker = Worker(self._host(worker_id, lease), stores.registry, stores.jobs, self._capacity)
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
                await self.gateway.run(self._api(worker), stop, on_ready, hurry)
                scaling.cancel()
                stop_worker.set()
        finally:
            await lease.close()
            await self._vmm.close()

    def _host(self, worker_id: str, lease: Lease) -> Host:
        stores = self._stores
        code = CodeCache(stores.code, self._settings.data_dir / "code-cache")
        code.sweep()
        return Host(
            worker_id=worker_id,
            ip=str(self._settings.worker_ip),
            vmm=self._vmm,
            runtimes=self._runtimes,
            code=code,
            lease=lease,
            logs=stores.logs,
            clock=stores.clock,
            neighbours=self._neighbours,
        )

    def _api(self, worker: Worker) -> FastAPI:
        stores = self._stores

        async def drain_worker(worker_id: str) -> None:
            if worker_id != worker.id:
                raise KeyError(worker_id)
            worker.drain()

        return create_api(
            ApiDependencies(
                functions=stores.functions,
                code=stores.code,
                invocations=stores.invocations,
                logs=stores.logs,
                registry=SettledRegistry(stores.registry, self.gateway.routes),
                notifications=stores.notifications,
                clock=stores.clock,
                runtimes=list(self._runtimes.values()),
                work_dir=self._settings.data_dir / "work",
                api_keys=self._keys if self._settings.auth == "on" else None,
                drain_worker=drain_worker,
                rollout=lambda function: self.gateway.activator.rollout(function.to_config()),
                start=lambda function: self.gateway.activator.start_newest(function.to_config()),
                rolled_out=self.gateway.routes.rolled_out,
                not_ready=self.gateway.not_ready,
                stopping=self.gateway.stopping,
                metrics=self.gateway.metrics.registry,
                vmm=self._vmm.name,
                accel=self._vmm.accel,
                max_archive_bytes=self._settings.max_archive_mb * MB,
            )
        )
