"""A worker's process ends, and the next one goes on: nothing that runs on its machines is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest
from tests.integration.worker.conftest import LEASE_S, Cluster, call

from aether.domain.instance import InstanceStatus
from aether.ports.registry import instance_key, worker_key
from aether.worker.home import NotAlone, open_home
from aether.worker.role import Ended


async def test_the_next_process_adopts_what_runs_on_the_same_port(cluster: Cluster):
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine) as first:
        before = await cluster.start("req-1")
        assert (await call(before)).json()["instance_id"] == before.instance_id
        worker_id = before.worker_id
        first.stop.set()
        assert await first.ended() is Ended.LEFT
    left = (await cluster.entries())[instance_key("fn-1", before.instance_id)]
    assert (left.status, left.restarting) == (InstanceStatus.DRAINING, True)
    assert (await cluster.record(worker_id)).restarting

    async with cluster.worker(machine) as second:
        [after] = await cluster.instances()
        assert after.status is InstanceStatus.READY
        assert (after.instance_id, after.proxy_port) == (before.instance_id, before.proxy_port)
        assert (after.worker_id, after.started_at) == (worker_id, before.started_at)
        answer = await call(after, **{"X-Call-Id": "call-7"})
        assert answer.json()["instance_id"] == before.instance_id
        lines = await second.logs.tail("fn-1", 10, call_id="call-7")
        assert [line.text for line in lines] == ["GET /"], "what it prints is forwarded again"
        record = await cluster.record(worker_id)
        assert (record.restarting, record.draining) == (False, False)
        await cluster.until(lambda entries: entries[worker_key(worker_id)].instances)
        taken = (await cluster.record(worker_id)).free_mem
        # It outlives the lease of the first.
        await asyncio.sleep(1.5 * LEASE_S)
        assert [i.instance_id for i in await cluster.instances()] == [before.instance_id]
        await cluster.start("req-2")
        assert (await cluster.record(worker_id)).free_mem < taken


async def test_it_is_not_said_to_be_back_before_its_instances_are(cluster: Cluster):
    """Else gateways would start others in their place, on the worker that has room again."""
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine) as first:
        before = await cluster.start("req-1")
        first.stop.set()
        await first.ended()
    left = await cluster.registry.view()
    ready, back = instance_key("fn-1", before.instance_id), worker_key(before.worker_id)
    async with cluster.worker(machine), asyncio.timeout(10):
        seen = []
        async for change in cluster.registry.watch(left.revision):
            if change.key == ready and change.value.status is InstanceStatus.READY:
                seen.append(change.key)
            if change.key == back and not change.value.restarting:
                seen.append(change.key)
                break
    assert seen == [ready, back]


async def test_running_requests_end_before_it_does_and_new_ones_go_elsewhere(cluster: Cluster):
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine) as process:
        instance = await cluster.start("req-1")
        slow = asyncio.ensure_future(call(instance, **{"X-Simulated-Respond-Ms": "700"}))
        key = worker_key(instance.worker_id)
        await cluster.until(lambda _: machine.machines.machines[instance.instance_id].in_flight)
        process.stop.set()
        await cluster.until(lambda entries: entries[key].restarting)
        with pytest.raises(httpx.ConnectError):
            await call(instance)
        assert (await slow).status_code == 200
        assert await process.ended() is Ended.LEFT
    assert machine.running() == [instance.instance_id]


async def test_requests_that_take_too_long_are_cut(cluster: Cluster):
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine) as process:
        instance = await cluster.start("req-1")
        slow = asyncio.ensure_future(call(instance, **{"X-Simulated-Respond-Ms": "60000"}))
        await cluster.until(lambda _: machine.machines.machines[instance.instance_id].in_flight)
        process.stop.set()
        await cluster.until(lambda entries: entries[worker_key(instance.worker_id)].restarting)
        process.hurry.set()
        assert await process.ended(within_s=3) is Ended.LEFT
        with pytest.raises(httpx.TransportError):
            await slow
    assert machine.running() == [instance.instance_id]


async def test_what_nobody_can_adopt_ends_and_leaves_nothing(cluster: Cluster):
    """One of another version, one that nothing was kept of, one that has ended meanwhile."""
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine) as process:
        _, unknown, dead = [await cluster.start(f"req-{n}") for n in range(3)]
        process.stop.set()
        await process.ended()
    kept = machine.directory / "instances"
    assert len(list(kept.iterdir())) == 3
    (kept / f"{unknown.instance_id}.json").write_text('{"version": 1}')
    await machine.machines.machines[dead.instance_id].stop(0)
    await cluster.put(revision=2)
    async with cluster.worker(machine):
        assert await cluster.instances() == []
        assert machine.running() == []
        assert list(kept.iterdir()) == []
        await cluster.start("req-9", revision=2)


async def test_one_that_was_to_drain_meanwhile_drains(cluster: Cluster):
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine) as process:
        instance = await cluster.start("req-1")
        process.stop.set()
        await process.ended()
    # The controller's wish, which knows nothing of a restart.
    left = (await cluster.entries())[instance_key("fn-1", instance.instance_id)]
    lease = await cluster.registry.lease("test")
    await lease.put_instance(replace(left, restarting=False))
    async with cluster.worker(machine):
        await cluster.until(lambda entries: instance_key("fn-1", instance.instance_id) not in entries)
    assert machine.running() == []


async def test_a_second_worker_of_one_id_refuses_to_start_until_the_first_is_gone(cluster: Cluster):
    here, elsewhere = await cluster.machine(), await cluster.machine()
    async with cluster.worker(here, "wrk-1") as first:
        with pytest.raises(NotAlone, match=r"Another worker has the id wrk-1: on .* \(127.0.0.1\)"):
            async with cluster.worker(elsewhere, "wrk-1"):
                pass
        assert (await first.get("/readyz")).status_code == 200
    with pytest.raises(NotAlone):
        async with cluster.worker(elsewhere, "wrk-1"):
            pass
    await cluster.until(lambda entries: worker_key("wrk-1") not in entries)
    async with cluster.worker(elsewhere, "wrk-1"):
        pass


async def test_a_data_directory_is_one_processes_alone(cluster: Cluster):
    machine = await cluster.machine()
    async with cluster.worker(machine) as process:
        with pytest.raises(NotAlone, match="already runs on"), open_home(machine.directory):
            pass
        assert not process.task.done()


async def test_its_id_stays_and_may_be_given(cluster: Cluster):
    machine = await cluster.machine()
    with open_home(machine.directory) as made:
        pass
    with open_home(machine.directory) as again:
        assert (again.worker_id, again.secret) == (made.worker_id, made.secret)
    with open_home(machine.directory, "wrk-given") as given:
        assert (given.worker_id, given.secret) == ("wrk-given", made.secret)
    (machine.directory / "worker.json").write_text("{ garbage")
    with open_home(machine.directory) as anew:
        assert anew.worker_id not in ("", "wrk-given")
