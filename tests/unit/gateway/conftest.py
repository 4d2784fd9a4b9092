"""A gateway's parts over the memory adapters, and instances put there by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from aether.adapters.clock import SystemClock
from aether.adapters.memory.job_queue import MemoryJobQueue
from aether.adapters.memory.registry import MemoryRegistry
from aether.domain.function import FunctionConfig, Limits, Version
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import Worker
from aether.gateway.activator import MAX_WAITING, Activator
from aether.gateway.routes import RouteTable
from aether.ports.registry import Lease

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 1 << 20


def version(revision: int = 1) -> Version:
    return Version(revision, "node", "handler.js", f"{revision:064x}", 1, 128, 3000, {})


def function(limits: Limits | None = None, revision: int = 1, good: Version | None = None) -> FunctionConfig:
    return FunctionConfig("fn-1", "hello", version(revision), limits or Limits(), good)


def instance(name: str, revision: int | None = 1, status: InstanceStatus = InstanceStatus.READY) -> Instance:
    return Instance(name, "fn-1", "wrk-1", "127.0.0.1", 30000, "169.254.0.2", status, NOW, revision)


def worker(free_mem: int = 4096 * MIB, free_slots: int = 10) -> Worker:
    return Worker("wrk-1", "host", "127.0.0.1", 2, 8192 * MIB, "0", NOW, free_mem, free_slots)


@dataclass
class Parts:
    registry: MemoryRegistry
    jobs: MemoryJobQueue
    routes: RouteTable
    activator: Activator
    lease: Lease
    leases: dict[str, Lease] = field(default_factory=dict)
    """Of other workers than the first."""

    async def lease_of(self, worker_id: str) -> Lease:
        if worker_id == self.lease.worker_id:
            return self.lease
        if worker_id not in self.leases:
            self.leases[worker_id] = await self.registry.lease(worker_id)
        return self.leases[worker_id]

    async def put(self, config: FunctionConfig) -> FunctionConfig:
        await self.registry.put_function(config)
        await self.routes.settled(config.id, config)
        return config

    async def until(self, condition) -> None:
        """Everything here happens within some turns of the loop."""
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0)


@asynccontextmanager
async def assembled(max_waiting: int = MAX_WAITING) -> AsyncIterator[Parts]:
    clock = SystemClock()
    registry, jobs, routes = MemoryRegistry(), MemoryJobQueue(clock), RouteTable()
    activator = Activator(routes, jobs, clock, gateway_id="gw-1", max_waiting=max_waiting)
    lease = await registry.lease("wrk-1")
    follow = asyncio.ensure_future(routes.follow(registry))
    run = asyncio.ensure_future(activator.run())
    try:
        await routes.loaded.wait()
        await lease.put_worker(worker())
        yield Parts(registry, jobs, routes, activator, lease)
    finally:
        follow.cancel()
        run.cancel()
        await asyncio.gather(follow, run, return_exceptions=True)


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with assembled() as it:
        yield it
