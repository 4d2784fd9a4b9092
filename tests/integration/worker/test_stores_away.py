"""A worker without its stores: what runs goes on serving, and all is told again when they are back."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.worker.conftest import LEASE_S, Cluster, call

from aether.domain.job import JobReply
from aether.ports.registry import instance_key, worker_key
from aether.vmm.simulated.behaviour import Behaviour
from aether.worker.home import NotAlone

pytestmark = pytest.mark.slow


async def test_an_etcd_that_lost_everything_costs_no_instance(cluster: Cluster):
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine) as process:
        instance = await cluster.start("req-1")
        cluster.etcd.lose_everything()
        await cluster.until(lambda entries: instance_key("fn-1", instance.instance_id) in entries)
        assert (await call(instance)).status_code == 200
        await cluster.put()
        await cluster.start("req-2")
        assert (await process.get("/readyz")).status_code == 200
        assert len(await cluster.instances()) == 2


async def test_cut_off_from_etcd_it_serves_and_comes_back_as_it_was(cluster: Cluster):
    await cluster.put()
    machine = await cluster.machine(cut_off=True)
    async with cluster.worker(machine, "wrk-1") as process:
        instance = await cluster.start("req-1")
        machine.cut(machine.etcd)
        await cluster.until(lambda entries: worker_key("wrk-1") not in entries)
        assert await cluster.instances() == []
        assert (await call(instance)).status_code == 200
        machine.heal()
        await cluster.until(
            lambda entries: entries.get(instance_key("fn-1", instance.instance_id)) == instance
        )
        await cluster.until(lambda entries: worker_key("wrk-1") in entries)
        assert (await call(instance)).status_code == 200
        await cluster.start("req-2", "wrk-1")
        assert (await process.get("/readyz")).status_code == 200
        assert len(machine.running()) == 2


async def test_who_took_its_id_meanwhile_keeps_it_and_it_drains(cluster: Cluster):
    await cluster.put()
    machine, elsewhere = await cluster.machine(cut_off=True), await cluster.machine()
    async with cluster.worker(machine, "wrk-1") as process:
        instance = await cluster.start("req-1")
        machine.cut(machine.etcd)
        await cluster.until(lambda entries: worker_key("wrk-1") not in entries)
        async with cluster.worker(elsewhere, "wrk-1") as rival:
            record = await cluster.record("wrk-1")
            machine.heal()
            with pytest.raises(NotAlone, match="Another worker has the id wrk-1"):
                await process.ended()
            assert (await cluster.record("wrk-1")).home == record.home
            assert (await rival.get("/readyz")).status_code == 200
            assert instance_key("fn-1", instance.instance_id) not in await cluster.entries()
    assert machine.running() == []


async def test_a_job_that_went_to_another_worker_is_done_once(cluster: Cluster):
    """The first is cut off while it starts the instance, and gets it ready when the other's is there."""
    cluster.behave["slow"] = Behaviour(boot_s=1.0)
    await cluster.put()
    cut_off, other = await cluster.machine(cut_off=True), await cluster.machine()
    async with cluster.worker(cut_off, "wrk-1"):
        await cluster.submit("req-1", env_vars={"BEHAVE": "slow"})
        await cluster.until(lambda _: cut_off.machines.machines)
        cut_off.cut()
        async with cluster.worker(other, "wrk-2"):
            replies = [await cluster.reply()]
            assert other.running() == [replies[0].instance_id]
            assert len(cut_off.running()) == 1, "it does not know"
            cut_off.heal()
            await cluster.until(lambda _: not cut_off.running())
            await cluster.until(lambda entries: worker_key("wrk-1") in entries)
            assert [i.instance_id for i in await cluster.instances()] == [replies[0].instance_id]


@pytest.mark.parametrize("first", ["wrk-2", pytest.param("wrk-1", marks=pytest.mark.slow)])
async def test_without_redis_to_ask_the_first_of_two_instances_of_a_job_is_the_one(
    cluster: Cluster, first: str
):
    """Both registries are there: it is decided by who comes first."""
    slow = {"wrk-1": 4.0, "wrk-2": 0.0} if first == "wrk-2" else {"wrk-1": 0.7, "wrk-2": 4.0}
    await cluster.put()
    cut_off, other = await cluster.machine(cut_off=True), await cluster.machine()
    cluster.behave["slow"] = Behaviour(boot_s=slow["wrk-1"])
    async with cluster.worker(cut_off, "wrk-1"):
        await cluster.submit("req-1", env_vars={"BEHAVE": "slow"})
        await cluster.until(lambda _: cut_off.machines.machines)
        cut_off.cut(cut_off.redis)
        cluster.behave["slow"] = Behaviour(boot_s=slow["wrk-2"])
        async with cluster.worker(other, "wrk-2"):
            told: list[JobReply] = []
            await cluster.until(lambda _: cut_off.machines.machines and other.machines.machines)
            await cluster.until(lambda _: len(cut_off.running()) + len(other.running()) == 1)
            [instance] = await cluster.instances()
            assert instance.worker_id == first
            cut_off.heal()
            while not told or told[-1].worker_id != first:
                told.append(await cluster.reply())
            assert told[-1].instance_id == instance.instance_id
            await asyncio.sleep(LEASE_S)
            assert await cluster.instances() == [instance]
