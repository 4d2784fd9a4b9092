"""What a worker does with jobs whose time is up or whose version is outdated, and when it drains."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from obstore.store import LocalStore
from tests.unit.worker.conftest import Running, replies

from aether.adapters.objects.code_store import ObjectCodeStore
from aether.domain.errors import StoreUnavailable
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.job import JobReply
from aether.domain.worker import Worker as WorkerRecord
from aether.vmm.simulated.behaviour import Behaviour

A_FOREIGN_INSTANCE = Instance(
    "other", "fn-2", "wrk-2", "127.0.0.1", 1, "", InstanceStatus.READY, datetime(2026, 1, 1, tzinfo=UTC)
)


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


async def test_a_start_that_got_little_of_its_time_says_nothing_about_the_code(running: Running):
    running.behave.update(slow=Behaviour(boot_s=1.0), deaf=Behaviour(never_ready=True))
    told: dict[str, JobReply] = {}
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(replies(running.jobs, 3, told))
        await asyncio.sleep(0)
        await running.ask("first", behave="slow")
        await running.ask("late", behave="deaf", remaining_ms=1800)
        await running.ask("in time", behave="deaf", remaining_ms=6000)
    assert told["late"].capacity, told["late"].error
    assert "left when its turn came: nothing listened on port 3000" in told["late"].error
    assert not told["in time"].capacity
    assert told["in time"].error.startswith("nothing listened on port 3000 within ")


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


async def test_a_job_of_a_function_that_was_removed_starts_nothing(running: Running):
    told: dict[str, JobReply] = {}
    await running.put(1)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(replies(running.jobs, 1, told))
        while not running.worker.heard.functions:
            await asyncio.sleep(0)
        await running.registry.remove_function("fn-1")
        while running.worker.heard.functions:
            await asyncio.sleep(0)
        await running.ask("late")
    assert told["late"].instance_id is None
    assert await running.vmm.list() == []


async def test_what_was_removed_while_the_registry_was_not_heard_is_forgotten(running: Running):
    """A watch that is too far behind begins with a new view."""
    await running.put(1)
    while not running.worker.heard.functions:
        await asyncio.sleep(0)
    entries = running.registry._history * 2 + 2
    await running.registry.remove_function("fn-1")
    lease = await running.registry.lease("wrk-2")
    for _ in range(entries):
        await lease.put_instance(A_FOREIGN_INSTANCE)
    async with asyncio.timeout(10):
        while running.worker.heard.functions:
            await asyncio.sleep(0)
    await lease.close()


class Away(ObjectCodeStore):
    """A store that is not to be reached."""

    async def fetch(self, function_id: str, sha256: str, into: Path) -> None:
        raise StoreUnavailable(f"no {sha256} of {function_id} into {into} today")


async def test_a_store_that_is_away_says_nothing_about_the_code(running: Running, tmp_path):
    running.worker._host.code._store = Away(LocalStore(tmp_path / "away", mkdir=True))
    told: dict[str, JobReply] = {}
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(replies(running.jobs, 1, told))
        await asyncio.sleep(0)
        await running.ask("first")
    assert told["first"].instance_id is None
    assert told["first"].capacity
