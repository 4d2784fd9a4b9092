"""What a worker does with jobs whose time is up or whose version is outdated, and when it drains."""

from __future__ import annotations

import asyncio

from tests.unit.worker.conftest import Running, replies

from aether.domain.job import JobReply
from aether.domain.worker import Worker as WorkerRecord
from aether.vmm.simulated.behaviour import Behaviour


async def test_a_start_that_waits_for_its_turn_beyond_its_time_is_given_up(running: Running):
    running.behave["slow"] = Behaviour(boot_s=0.5)
    told: dict[str, JobReply] = {}
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(replies(running.jobs, 2, told))
        await asyncio.sleep(0)
        await running.ask("first", behave="slow")
        await running.ask("late", remaining_ms=200)
    assert told["first"].instance_id
    assert told["late"].instance_id is None
    assert told["late"].capacity, "it says nothing about the code"


async def test_a_start_of_an_outdated_version_is_given_up(running: Running):
    running.behave["deaf"] = Behaviour(never_ready=True)
    told: dict[str, JobReply] = {}
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(replies(running.jobs, 2, told))
        await asyncio.sleep(0)
        await running.put(2, good=1)
        await running.ask("newest", behave="deaf", revision=2)
        await running.ask("good", revision=1)
        await running.put(3, good=1)
    assert told["newest"].instance_id is None
    assert told["newest"].capacity, "it says nothing about the code"
    assert told["good"].instance_id


async def test_who_drains_says_so_at_once(running: Running):
    view = await running.registry.view()
    changes = running.registry.watch(view.revision)
    running.worker.drain()
    async with asyncio.timeout(0.5):
        async for change in changes:
            if isinstance(change.value, WorkerRecord) and change.value.draining:
                break
    await changes.aclose()
