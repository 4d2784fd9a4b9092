"""A worker over the memory adapters, simulated machines and a store of local files."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from obstore.store import LocalStore

from aether.adapters.clock import SystemClock
from aether.adapters.memory.function_logs import MemoryFunctionLogs
from aether.adapters.memory.job_queue import MemoryJobQueue
from aether.adapters.memory.notifications import MemoryNotifications
from aether.adapters.memory.registry import MemoryRegistry
from aether.adapters.objects.code_store import ObjectCodeStore
from aether.domain.function import FunctionConfig, Limits, Version
from aether.domain.job import JobReply, ProvisionJob
from aether.ports.vmm import MachineSpec, Runtime
from aether.vmm.simulated.behaviour import Behaviour
from aether.vmm.simulated.driver import SimulatedVmm
from aether.worker.capacity import Capacity
from aether.worker.code_cache import CodeCache
from aether.worker.host import Host
from aether.worker.worker import Worker

NODE = Runtime("node", Path("/none"), ("node",), "handler.js", answers_probes=True)
CODE = hashlib.sha256(b"code").hexdigest()
GIB = 1 << 30


@dataclass
class Running:
    """`behave` maps the environment's `BEHAVE` to how such machines behave."""

    worker: Worker
    registry: MemoryRegistry
    jobs: MemoryJobQueue
    vmm: SimulatedVmm
    behave: dict[str, Behaviour]
    store: ObjectCodeStore
    notifications: MemoryNotifications

    async def ask(
        self, name: str, *, behave: str = "", revision: int = 1, remaining_ms: int = 60_000
    ) -> None:
        """As a gateway of ours does, which has placed it."""
        env = {"BEHAVE": behave}
        await self.jobs.submit(
            ProvisionJob(name, "fn-1", "node", "", 1, 128, 3000, env, CODE, remaining_ms, "test", revision),
            worker_id="wrk-1",
        )

    async def put(self, revision: int, good: int | None = None, limits: Limits | None = None) -> None:
        def version(number: int) -> Version:
            return Version(number, "node", "", CODE, 1, 128, 3000, {})

        known = None if good is None else version(good)
        config = FunctionConfig("fn-1", "hello", version(revision), limits or Limits(), known)
        await self.registry.put_function(config)


@pytest.fixture
async def running(tmp_path) -> AsyncIterator[Running]:
    """With one start at a time."""
    image = tmp_path / "image"
    image.write_bytes(b"code")
    store = ObjectCodeStore(LocalStore(tmp_path / "store", mkdir=True))
    await store.put("fn-1", CODE, image)
    clock, registry = SystemClock(), MemoryRegistry()
    jobs, notifications = MemoryJobQueue(clock), MemoryNotifications()
    behave: dict[str, Behaviour] = {}

    def behaviour(spec: MachineSpec) -> Behaviour:
        return behave.get(spec.env["BEHAVE"], Behaviour())

    vmm = SimulatedVmm(behaviour)
    lease = await registry.lease("wrk-1")
    host = Host(
        "wrk-1",
        "127.0.0.1",
        vmm,
        {"node": NODE},
        CodeCache(store, tmp_path / "cache"),
        lease,
        MemoryFunctionLogs(),
        clock,
        notifications=notifications,
    )
    worker = Worker(host, registry, jobs, Capacity(lambda: (8 * GIB, 8 * GIB)), starts_at_once=1)
    stop = asyncio.Event()
    run = asyncio.ensure_future(worker.run(stop))
    yield Running(worker, registry, jobs, vmm, behave, store, notifications)
    stop.set()
    await run
    await lease.close()
    await vmm.close()


async def replies(jobs: MemoryJobQueue, count: int, into: dict[str, JobReply]) -> None:
    """Collect so many replies by request, from now on."""
    feed = jobs.replies("test")
    try:
        async for reply in feed:
            into[reply.request_id] = reply
            if len(into) == count:
                return
    finally:
        await feed.aclose()
