"""Which jobs a worker takes: what is on its way counts, and what there is no room for is told why."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.worker.conftest import Running, replies

from aether.domain.job import JobReply
from aether.domain.memory import MIB
from aether.domain.worker import Worker as WorkerRecord
from aether.vmm.simulated.behaviour import Behaviour
from aether.worker.capacity import RESERVE, Capacity

PATIENCE_S = 10


async def outcomes(running: Running, *names: str) -> dict[str, JobReply]:
    """What is replied to jobs that are all there at once."""
    told: dict[str, JobReply] = {}
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(replies(running.jobs, len(names), told))
        await asyncio.sleep(0)
        for name in names:
            await running.ask(name)
    return told


def with_room_for(running: Running, mib: int, **options: int) -> None:
    total = RESERVE + mib * MIB
    running.worker._capacity = running.worker._intake._capacity = Capacity(lambda: (total, total), **options)


async def until_told(running: Running, condition) -> WorkerRecord:
    """The worker's first record from now on that is so."""
    view = await running.registry.view()
    changes = running.registry.watch(view.revision)
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for change in changes:
                if isinstance(change.value, WorkerRecord) and condition(change.value):
                    return change.value
    finally:
        await changes.aclose()
    raise AssertionError


@pytest.fixture
async def idle(running: Running) -> Running:
    """It waits for a job, with room for two and a bit."""
    with_room_for(running, 2 * 128 + 64)
    await outcomes(running, "first")
    [instance] = running.worker._instances.values()
    instance.drain(within_s=0)
    await running.worker.drained()
    return running


async def test_starts_that_are_asked_for_at_once_are_not_given_the_same_memory(idle: Running):
    idle.behave[""] = Behaviour(boot_s=0.2)
    told = await outcomes(idle, "a", "b", "c", "d")
    assert [name for name, reply in told.items() if reply.instance_id] == ["a", "b"]
    for name in ("c", "d"):
        assert told[name].capacity
        assert told[name].error == "worker wrk-1 has 64 MiB free, 128 MiB are needed"


async def test_the_number_that_a_worker_may_have_is_told_by_its_setting(idle: Running):
    with_room_for(idle, 10_000, max_instances=1)
    told = await outcomes(idle, "a")
    assert told["a"].instance_id
    record = await until_told(idle, lambda worker: worker.instances)
    assert (record.max_instances, record.free_slots) == (1, 0)


async def test_freed_room_is_told_at_once(idle: Running):
    await outcomes(idle, "a", "b")
    [instance, _] = idle.worker._instances.values()
    telling = asyncio.ensure_future(until_told(idle, lambda worker: worker.free_mem >= 128 * MIB))
    await asyncio.sleep(0)
    began_s = asyncio.get_running_loop().time()
    instance.drain(within_s=0)
    await telling
    assert asyncio.get_running_loop().time() - began_s < 0.5
