"""Somebody wishes that a worker drains: it hands over what it has, and ends."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx
import pytest
from tests.integration.worker.conftest import Cluster, call

from aether.domain.function import Limits
from aether.domain.instance import InstanceStatus
from aether.domain.worker import DrainWish
from aether.ports.registry import instance_key, worker_key
from aether.worker.role import Ended


def a_wish(worker_id: str) -> DrainWish:
    return DrainWish(worker_id, datetime.now(UTC))


async def test_it_takes_nothing_new_lets_requests_end_and_goes(cluster: Cluster):
    await cluster.put(limits=Limits(drain_timeout_s=20))
    machine = await cluster.machine()
    async with cluster.worker(machine, "wrk-1") as process:
        instance = await cluster.start("req-1")
        slow = asyncio.ensure_future(call(instance, **{"X-Simulated-Respond-Ms": "1500"}))
        await cluster.until(lambda _: machine.machines.machines[instance.instance_id].in_flight)
        assert await cluster.registry.ask_to_drain(a_wish("wrk-1"))
        await cluster.until(lambda entries: entries[worker_key("wrk-1")].draining)
        not_ready = await process.get("/readyz")
        assert (not_ready.status_code, not_ready.json()["error"]["message"]) == (503, "it drains")
        await cluster.submit("req-late", "wrk-1")
        refused = await cluster.reply()
        assert (refused.capacity, refused.error) == (True, "worker wrk-1 drains")
        assert (await slow).status_code == 200
        assert await process.ended() is Ended.DRAINED
    assert await cluster.entries() == {
        "/config/functions/fn-1": (await cluster.entries())["/config/functions/fn-1"]
    }
    assert not machine.machines.machines

    async with cluster.worker(machine, "wrk-1"):
        assert not (await cluster.record("wrk-1")).draining, "started again, it serves again"
        await cluster.start("req-2", "wrk-1")


async def test_a_busy_function_has_an_instance_elsewhere_before_its_last_one_goes(cluster: Cluster):
    await cluster.put()
    here, elsewhere = await cluster.machine(), await cluster.machine()
    async with cluster.worker(here, "wrk-1") as first, cluster.worker(elsewhere, "wrk-2"):
        instance = await cluster.start("req-1", "wrk-1")
        assert (await call(instance)).status_code == 200
        assert await cluster.registry.ask_to_drain(a_wish("wrk-1"))
        serving = []
        while not first.task.done():
            ready = [i.worker_id for i in await cluster.instances() if i.status is InstanceStatus.READY]
            if ready != serving[-1:]:
                serving.append(ready)
            assert ready, "there is always one"
        assert await first.ended() is Ended.DRAINED
        assert serving[0] == ["wrk-1"]
        assert serving[-1] == ["wrk-2"]


async def test_an_idle_function_gets_none(cluster: Cluster):
    await cluster.put()
    here, elsewhere = await cluster.machine(), await cluster.machine()
    async with cluster.worker(here, "wrk-1") as first, cluster.worker(elsewhere, "wrk-2"):
        await cluster.start("req-1", "wrk-1")
        assert await cluster.registry.ask_to_drain(a_wish("wrk-1"))
        assert await first.ended() is Ended.DRAINED
        assert await cluster.instances() == []


async def test_asked_to_stop_meanwhile_it_hurries(cluster: Cluster):
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine, "wrk-1") as process:
        instance = await cluster.start("req-1")
        slow = asyncio.ensure_future(call(instance, **{"X-Simulated-Respond-Ms": "60000"}))
        await cluster.until(lambda _: machine.machines.machines[instance.instance_id].in_flight)
        assert await cluster.registry.ask_to_drain(a_wish("wrk-1"))
        key = instance_key("fn-1", instance.instance_id)
        await cluster.until(lambda entries: entries[key].status is InstanceStatus.DRAINING)
        process.stop.set()
        process.hurry.set()
        assert await process.ended(within_s=5) is Ended.DRAINED
        with pytest.raises(httpx.TransportError):
            await slow
    assert not machine.machines.machines
