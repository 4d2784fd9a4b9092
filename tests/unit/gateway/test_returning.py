"""A worker that restarts comes back with its instances: calls wait for one, and no other is started."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.unit.gateway.conftest import Parts, function, instance, worker
from tests.unit.gateway.test_activator import cancelled, waiting

from aether.domain.errors import NoCapacity
from aether.domain.instance import InstanceStatus

RESTARTING = replace(worker(), draining=True, restarting=True)
LEFT = replace(instance("a", status=InstanceStatus.DRAINING), restarting=True)


async def restarting(parts: Parts):
    """Its worker has just begun to restart."""
    config = await parts.put(function())
    await parts.lease.put_instance(LEFT)
    await parts.lease.put_worker(RESTARTING)
    await parts.until(lambda: parts.routes.instances("fn-1") == [LEFT])
    await parts.until(lambda: parts.routes.workers["wrk-1"] == RESTARTING)
    return config


async def test_calls_wait_for_the_instance_that_comes_back(parts: Parts):
    config = await restarting(parts)
    tasks = await waiting(parts, config, 3)
    other = await parts.lease_of("wrk-2")
    await other.put_worker(replace(worker(), id="wrk-2"))
    await parts.until(lambda: "wrk-2" in parts.routes.workers)
    assert await parts.jobs.depth() == 0
    await parts.lease.put_instance(instance("a"))
    grants = await asyncio.gather(*tasks)
    assert {grant.slot.instance.instance_id for grant in grants} == {"a"}


async def test_another_is_started_when_that_takes_long(parts: Parts, monkeypatch: pytest.MonkeyPatch):
    config = await restarting(parts)
    tasks = await waiting(parts, config, 3)
    other = await parts.lease_of("wrk-2")
    await other.put_worker(replace(worker(), id="wrk-2"))
    monkeypatch.setattr("aether.gateway.returning.COMES_BACK_S", 0.0)
    await other.put_worker(replace(worker(), id="wrk-2", load=1))
    async with asyncio.timeout(5):
        await parts.jobs.take("wrk-2")
    await cancelled(tasks)


async def test_calls_of_a_cold_function_wait_for_the_only_worker(parts: Parts):
    await parts.lease.put_worker(RESTARTING)
    await parts.until(lambda: parts.routes.workers["wrk-1"] == RESTARTING)
    config = await parts.put(function())
    tasks = await waiting(parts, config, 1)
    await parts.lease.put_worker(worker())
    async with asyncio.timeout(5):
        await parts.jobs.take("wrk-1")
    await cancelled(tasks)


async def test_they_are_told_when_it_does_not_come_back(parts: Parts):
    config = await restarting(parts)
    tasks = await waiting(parts, config, 1)
    await parts.lease.close()
    with pytest.raises(NoCapacity, match="no worker is there"):
        await asyncio.wait_for(tasks[0], 5)


async def test_of_a_worker_that_crashed_instances_are_waited_for_a_moment(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
):
    """Nobody listens for them, and the registry still has them: its next process may take them over."""
    config = await parts.put(function())
    await parts.lease.put_instance(instance("a"))
    await parts.until(lambda: parts.routes.ready(config))
    slot = parts.routes.pick(config)
    parts.activator.release(slot)
    parts.routes.lose(slot)
    tasks = await waiting(parts, config, 2)
    assert await parts.jobs.depth() == 0
    monkeypatch.setattr("aether.gateway.returning.AFTER_CRASH_S", 0.0)
    await parts.lease.put_worker(replace(worker(), load=1))
    await parts.until(lambda: parts.activator.starting(config))
    await cancelled(tasks)
