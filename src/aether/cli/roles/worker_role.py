"""A worker as a process: its stores, its machines, and with them its life."""

from __future__ import annotations

import asyncio

from aether.cli.collection import settle
from aether.cli.output import say
from aether.cli.roles.machines import Machines
from aether.cli.roles.worker import make_capacity, make_host
from aether.cli.settings import Settings
from aether.cli.stores.opened import WorkerStores
from aether.cli.stores.shared import open_worker_stores
from aether.domain.ids import new_id
from aether.ports.registry import Lease
from aether.worker.worker import Worker


class WorkerRole:
    """`run` is its whole life."""

    def __init__(self, settings: Settings, machines: Machines) -> None:
        self._settings = settings
        self._machines = machines

    async def run(self, stop: asyncio.Event, *, wait: bool) -> None:
        """Raises StoreFailed, StoppedBefore."""
        async with open_worker_stores(self._settings, stop, wait=wait) as opened:
            stores = opened.stores
            await self._machines.ready()
            lease = await stores.registry.lease(self._settings.worker_id or new_id("wrk"))
            try:
                await self._run(stores, lease, stop)
            finally:
                await lease.close()
                await self._machines.vmm.close()

    async def _run(self, stores: WorkerStores, lease: Lease, stop: asyncio.Event) -> None:
        host = make_host(
            self._settings, stores, vmm=self._machines.vmm, runtimes=self._machines.runtimes, lease=lease
        )
        worker = Worker(host, stores.registry, stores.jobs, make_capacity(self._settings, self._machines.vmm))
        settle()
        say(f"Aether's worker {worker.id} is up ({self._machines.vmm.name}, {self._machines.vmm.accel}).")
        await worker.run(stop)
