"""Starts ahead of any request, on a host that is full until idle instances have left."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.unit.gateway.conftest import function, instance, version, worker

from aether.domain.errors import NoCapacity
from aether.domain.function import FunctionConfig
from aether.domain.instance import InstanceStatus
from aether.domain.job import JobReply


async def told(parts, free_mem: int | None = None) -> None:
    record = worker() if free_mem is None else worker(free_mem=free_mem)
    await parts.lease.put_worker(record)
    await parts.until(lambda: parts.routes.workers["wrk-1"] == record)


async def refused(parts) -> None:
    claim = await parts.jobs.take("wrk-1")
    job = claim.job
    await claim.reply(JobReply(job.request_id, job.function_id, job.revision, None, "no room", capacity=True))
    await claim.done()


async def test_without_hope_of_room_it_is_refused(parts):
    config = await parts.put(function())
    await told(parts, 0)
    with pytest.raises(NoCapacity):
        parts.activator.start_newest(config)
    assert parts.activator.missing_room() == {}


async def test_it_starts_when_room_is_there_and_once_only(parts):
    config = await parts.put(function())
    await told(parts, 0)
    parts.activator.room_can_be_made = lambda _function: True
    parts.activator.start_newest(config)
    assert parts.activator.missing_room() == {"fn-1": 1}
    await told(parts)
    await parts.jobs.take("wrk-1")
    await parts.lease.put_instance(instance("a"))
    await parts.until(lambda: parts.routes.instances("fn-1"))
    await told(parts, 0)
    await told(parts)
    assert await parts.jobs.depth() == 0
    assert parts.activator.missing_room() == {}


async def test_a_worker_that_had_no_room_after_all_is_asked_when_it_tells_of_some(parts):
    config = await parts.put(function())
    parts.activator.room_can_be_made = lambda _function: True
    parts.activator.start_newest(config)
    await refused(parts)
    await parts.until(lambda: parts.activator.missing_room() == {"fn-1": 1})
    await told(parts)
    await parts.jobs.take("wrk-1")


async def rolling(parts) -> FunctionConfig:
    """The version before serves, and runs a request."""
    await parts.lease.put_instance(instance("old", revision=1))
    config = await parts.put(function())
    await parts.until(lambda: parts.routes.ready(config))
    assert parts.routes.pick(config)
    parts.activator.room_can_be_made = lambda _function: True
    return await parts.put(function(revision=2, good=version(1)))


async def settle() -> None:
    """What is to be asked for has been: some turns of the loop."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_newest_version_is_not_asked_for_before_there_is_room_for_it(parts):
    await told(parts, 0)
    config = await rolling(parts)
    await settle()
    assert await parts.jobs.depth() == 0
    assert parts.activator.missing_room() == {"fn-1": 1}
    await told(parts)
    assert (await parts.jobs.take("wrk-1")).job.revision == config.version.revision


async def test_a_newest_version_that_was_refused_is_asked_for_when_room_is_told_and_not_before(parts):
    await rolling(parts)
    await refused(parts)
    await settle()
    assert await parts.jobs.depth() == 0
    await told(parts)
    await parts.jobs.take("wrk-1")


async def test_the_refusal_tells_what_the_newest_version_needs(parts):
    await told(parts, 200 << 20)
    config = await rolling(parts)
    parts.activator.room_can_be_made = lambda _function: False
    config = await parts.put(replace(config, version=replace(version(3), memory_mb=512)))
    with pytest.raises(NoCapacity, match="72 MiB free, 512 MiB are needed"):
        parts.activator.start_newest(config)


async def test_a_later_version_takes_the_promise_away(parts):
    config = await parts.put(function())
    await told(parts, 0)
    parts.activator.room_can_be_made = lambda _function: True
    parts.activator.start_newest(config)
    await parts.put(function(revision=2))
    await parts.until(lambda: parts.activator.missing_room() == {})


async def test_who_keeps_connections_hears_of_an_instance_that_drains_or_goes(parts):
    leaving: list[str] = []
    parts.routes.on_leaving = lambda it: leaving.append(it.instance_id)
    await parts.put(function())
    await parts.lease.put_instance(instance("a"))
    await parts.lease.put_instance(instance("b"))
    await parts.until(lambda: len(parts.routes.instances("fn-1")) == 2)
    assert leaving == []
    await parts.registry.set_status("fn-1", "a", InstanceStatus.DRAINING)
    await parts.lease.remove_instance("fn-1", "b")
    await parts.until(lambda: leaving == ["a", "b"])
