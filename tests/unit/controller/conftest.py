"""A controller over the memory registry, a gateway's routes and activator, and a clock that tests move."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from aether.adapters.memory.job_queue import MemoryJobQueue
from aether.adapters.memory.registry import MemoryRegistry
from aether.controller.controller import Controller
from aether.domain.deadline import Deadline
from aether.domain.function import FunctionConfig, Limits, Version
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.job import JobReply
from aether.domain.memory import instance_bytes
from aether.domain.worker import InstanceLoad, Worker
from aether.gateway.activator import Activator
from aether.gateway.routes import RouteTable
from aether.ports.election import Fence
from aether.ports.registry import Lease

MEMORY_MB = 128
SIZE = instance_bytes(MEMORY_MB)


class HandClock:
    """Implements `aether.ports.clock.Clock`."""

    def __init__(self) -> None:
        self.passed_s = 1000.0
        self.wall = datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.passed_s

    def now(self) -> datetime:
        return self.wall

    def tick(self, seconds: float = 1.0) -> None:
        self.passed_s += seconds
        self.wall += timedelta(seconds=seconds)


def version(revision: int = 1) -> Version:
    return Version(revision, "node", "handler.js", f"{revision:064x}", 1, MEMORY_MB, 3000, {})


def function(name: str = "fn-1", limits: Limits | None = None, revision: int = 1) -> FunctionConfig:
    return FunctionConfig(name, name.removeprefix("fn-") + "-name", version(revision), limits or Limits())


def busy(in_flight: int, calls: int = 1) -> InstanceLoad:
    return InstanceLoad("", in_flight, 0.0, calls)


def idle(seconds: float, calls: int = 1) -> InstanceLoad:
    return InstanceLoad("", 0, seconds, calls)


@dataclass
class Cluster:
    registry: MemoryRegistry
    lease: Lease
    routes: RouteTable
    activator: Activator
    jobs: MemoryJobQueue
    clock: HandClock
    controller: Controller
    loads: dict[str, InstanceLoad] = field(default_factory=dict)
    starting: Counter[str] = field(default_factory=Counter)
    """What the worker has taken and not ended, by function id."""
    free_mem: int = 100 * SIZE
    short_of: int = 0
    max_instances: int = 0
    """That the worker may have."""

    async def put(self, config: FunctionConfig) -> FunctionConfig:
        await self.registry.put_function(config)
        await self.settle()
        return config

    async def ready(
        self,
        name: str,
        load: InstanceLoad | None = None,
        *,
        function_id: str = "fn-1",
        revision: int | None = 1,
        worker_id: str = "wrk-1",
    ) -> None:
        await self.lease.put_instance(
            Instance(
                name,
                function_id,
                worker_id,
                "127.0.0.1",
                30000,
                "169.254.0.2",
                InstanceStatus.READY,
                self.clock.now(),
                revision,
            )
        )
        if load is not None:
            self.loads[name] = replace(load, function_id=function_id)

    async def heartbeat(self) -> None:
        await self.lease.put_worker(
            Worker(
                "wrk-1",
                "host",
                "127.0.0.1",
                2,
                200 * SIZE,
                "0",
                self.clock.now(),
                self.free_mem,
                100,
                instances=dict(self.loads),
                starting=dict(self.starting),
                short_of=self.short_of,
                max_instances=self.max_instances,
            )
        )
        await self.settle()

    async def second(
        self, loads: Mapping[str, InstanceLoad] | None = None, *, heartbeat: bool = True
    ) -> None:
        """One second passes: a heartbeat, and a look."""
        self.clock.tick()
        for name, load in (loads or {}).items():
            self.loads[name] = replace(load, function_id=self.loads[name].function_id)
        if heartbeat:
            await self.heartbeat()
        await self.controller.look()
        await self.settle()

    async def seconds(self, count: int) -> None:
        for _ in range(count):
            await self.second()

    async def settle(self) -> None:
        """All that was put has arrived, and what it caused has been done: some turns of the loop."""
        view = await self.registry.view()
        async with asyncio.timeout(5):
            while self.routes.revision < view.revision:
                await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)

    async def call(self, config: FunctionConfig) -> asyncio.Task:
        task = asyncio.ensure_future(self.activator.acquire(config, Deadline.after(60, self.clock.passed_s)))
        await self.settle()
        return task

    async def come_up(self, name: str, load: InstanceLoad) -> None:
        """What was asked for first is there."""
        claim = await self.jobs.take("wrk-1")
        job = claim.job
        await claim.reply(JobReply(job.request_id, job.function_id, job.revision, name))
        await claim.done()
        await self.ready(name, load, function_id=job.function_id, revision=job.revision)
        await self.settle()

    async def started(self) -> Counter[str]:
        """Instances asked for so far, by function id; they stay on their way."""
        depth = await self.jobs.depth()
        claims = [await self.jobs.take("wrk-1") for _ in range(depth)]
        taken = Counter(claim.job.function_id for claim in claims)
        self.starting += taken
        return taken

    def draining(self) -> list[str]:
        """In the order of names."""
        return sorted(
            i.instance_id
            for f in self.routes.functions()
            for i in self.routes.instances(f.id)
            if i.status is InstanceStatus.DRAINING
        )


class CountingRegistry(MemoryRegistry):
    """Notes who is told what."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    async def set_status(
        self, function_id: str, instance_id: str, status: InstanceStatus, fence: Fence | None = None
    ) -> bool:
        self.told.append(instance_id)
        return await super().set_status(function_id, instance_id, status, fence)


@pytest.fixture
async def make() -> AsyncIterator:
    """Makes a cluster; its keyword arguments are the controller's."""
    tasks: list[asyncio.Task] = []

    async def cluster(**options) -> Cluster:
        clock = HandClock()
        registry, jobs, routes = CountingRegistry(), MemoryJobQueue(clock), RouteTable()
        activator = Activator(routes, jobs, clock, gateway_id="gw-1")
        controller = Controller(routes, activator, registry, clock, **options)
        activator.room_can_be_made = controller.room_can_be_made
        lease = await registry.lease("wrk-1")
        tasks.extend((asyncio.ensure_future(routes.follow(registry)), asyncio.ensure_future(activator.run())))
        await routes.loaded.wait()
        made = Cluster(registry, lease, routes, activator, jobs, clock, controller)
        await made.second()
        return made

    yield cluster
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def cluster(make) -> Cluster:
    return await make()
