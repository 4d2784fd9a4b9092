"""Starts with several workers there: where their jobs go, and go on to."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.unit.gateway.conftest import MIB, NOW, Parts, assembled, function, instance, worker

from aether.domain.errors import NoCapacity, StoreUnavailable
from aether.domain.function import FunctionConfig, Limits
from aether.domain.job import JobReply
from aether.domain.worker import InstanceLoad, Worker
from aether.gateway import placing
from aether.ports.job_queue import Claim

FOREIGN = Worker("wrk-foreign", "host", "10.0.0.9", 4, 8192 * MIB, "0.1", NOW, free_mem=0, free_slots=0)


def ours(name: str, **facts) -> Worker:
    return replace(worker(), id=name, runtimes=("node",), **facts)


async def tell(parts: Parts, record: Worker) -> None:
    await (await parts.lease_of(record.id)).put_worker(record)
    await parts.until(lambda: parts.routes.workers.get(record.id) == record)


async def gone(parts: Parts, worker_id: str) -> None:
    parts.registry.record(f"/workers/{worker_id}", None)
    await parts.until(lambda: worker_id not in parts.routes.workers)


async def started(parts: Parts, count: int = 1) -> FunctionConfig:
    config = await parts.put(function(Limits(max_starts_in_flight=100, max_instances=100)))
    assert parts.activator.start(config, count)
    return config


async def taken(parts: Parts, worker_id: str, within_s: float = 2.0) -> Claim:
    async with asyncio.timeout(within_s):
        return await parts.jobs.take(worker_id)


async def nothing_for(parts: Parts, worker_id: str) -> None:
    with pytest.raises(TimeoutError):
        await taken(parts, worker_id, within_s=0.02)


async def answer(claim: Claim, **changes) -> None:
    job = claim.job
    await claim.reply(replace(JobReply(job.request_id, job.function_id, job.revision, None), **changes))
    await claim.done()


@pytest.fixture
async def two():
    """Two equal workers."""
    async with assembled() as parts:
        await tell(parts, ours("wrk-1"))
        await tell(parts, ours("wrk-2"))
        yield parts


async def test_starts_spread_over_workers_and_lie_in_their_own_queues(two):
    await started(two, 10)
    await two.until(lambda: two.activator.starting(function()) == 10)
    for name in ("wrk-1", "wrk-2"):
        for _ in range(4):
            await taken(two, name)
    assert await two.jobs.depth() == 2
    await nothing_for(two, "wrk-3")


async def test_a_start_that_is_refused_goes_to_another_worker_with_the_time_that_is_left(two):
    await tell(two, ours("wrk-2", free_slots=0))
    await started(two)
    first = await taken(two, "wrk-1")
    await tell(two, ours("wrk-2"))
    await answer(first, error="no room", capacity=True)
    second = await taken(two, "wrk-2")
    assert second.job.request_id == first.job.request_id
    assert 0 < second.job.remaining_ms <= first.job.remaining_ms
    await nothing_for(two, "wrk-1")


async def test_a_start_that_all_refuse_is_refused(two):
    config = await started(two)
    for _ in range(2):
        [claim] = [c for c in await asyncio.gather(*(maybe(two, n) for n in ("wrk-1", "wrk-2"))) if c]
        await answer(claim, error="no room", capacity=True)
    await two.until(lambda: two.activator.starting(config) == 0)
    assert await two.jobs.depth() == 0


async def maybe(parts: Parts, worker_id: str) -> Claim | None:
    try:
        return await taken(parts, worker_id, within_s=0.05)
    except TimeoutError:
        return None


async def test_a_start_that_fails_by_itself_is_not_tried_elsewhere(two):
    config = await started(two)
    [claim] = [c for c in [await maybe(two, "wrk-1"), await maybe(two, "wrk-2")] if c]
    await answer(claim, error="it exited")
    await two.until(lambda: two.activator.starting(config) == 0)
    assert await two.jobs.depth() == 0


async def test_starts_on_a_worker_that_dies_go_to_another_at_once(two):
    await tell(two, ours("wrk-2", free_slots=0))
    config = await started(two, 2)
    for _ in range(2):
        await taken(two, "wrk-1")
    await tell(two, ours("wrk-2"))
    await gone(two, "wrk-1")
    for _ in range(2):
        await taken(two, "wrk-2")
    assert two.activator.starting(config) == 2


async def test_starts_that_a_draining_worker_has_not_begun_go_to_another(two):
    await tell(two, ours("wrk-2", free_slots=0))
    config = await started(two, 2)
    begun = await taken(two, "wrk-1")
    await tell(two, ours("wrk-2"))
    await tell(two, ours("wrk-1", draining=True, starting={"fn-1": 1}))
    moved = await taken(two, "wrk-2")
    assert moved.job.request_id != begun.job.request_id
    await nothing_for(two, "wrk-2")
    assert two.activator.starting(config) == 2


async def test_a_late_refusal_of_the_worker_before_changes_nothing(two):
    await tell(two, ours("wrk-2", free_slots=0))
    config = await started(two)
    before = await taken(two, "wrk-1")
    await tell(two, ours("wrk-2"))
    await tell(two, ours("wrk-1", draining=True))
    await taken(two, "wrk-2")
    await answer(before, error="it drains", capacity=True)
    await two.jobs.submit(replace(before.job, request_id="next"))
    assert (await taken(two, "wrk-1")).job.request_id == "next"
    assert two.activator.starting(config) == 1


async def test_what_is_placed_counts_until_the_record_tells_of_it():
    async with assembled() as parts:
        await tell(parts, ours("wrk-1", free_mem=300 * MIB))
        config = await started(parts, 3)
        claims = [await taken(parts, "wrk-1") for _ in range(2)]
        await parts.until(lambda: parts.activator.starting(config) == 2)
        assert await parts.jobs.depth() == 0
        await tell(parts, ours("wrk-1", free_mem=172 * MIB, starting={"fn-1": 1}))
        assert not room(parts, config)
        await tell(parts, ours("wrk-1", free_mem=172 * MIB, starting={"fn-1": 2}))
        assert room(parts, config), "both are in the record"
        await tell(parts, ours("wrk-1", free_mem=300 * MIB))
        for number, claim in enumerate(claims):
            await answer(claim, instance_id=f"inst-{number}")
            await parts.lease.put_instance(instance(f"inst-{number}"))
        await parts.until(lambda: parts.activator.starting(config) == 0)
        assert not room(parts, config), "they are there, and not in the record"
        loads = {f"inst-{n}": InstanceLoad("fn-1", 0, 0.0) for n in range(2)}
        await tell(parts, ours("wrk-1", free_mem=300 * MIB, instances=loads))
        assert room(parts, config)


def room(parts: Parts, config: FunctionConfig) -> bool:
    return parts.activator._provisioner.room.has(config)


async def test_code_is_started_where_it_is(two):
    await two.put(function())
    await (await two.lease_of("wrk-2")).put_instance(replace(instance("a"), worker_id="wrk-2"))
    await two.until(lambda: two.routes.instances("fn-1"))
    config = await started(two)
    await taken(two, "wrk-2")
    await two.until(lambda: two.activator.starting(config) == 1)


async def test_foreign_workers_get_what_ours_have_no_room_for_by_the_shared_queue(two):
    await tell(two, FOREIGN)
    await tell(two, ours("wrk-1", free_slots=1))
    await tell(two, ours("wrk-2", free_slots=0))
    config = await started(two, 2)
    await taken(two, "wrk-1")
    await taken(two, FOREIGN.id)
    assert two.activator.starting(config) == 2


async def test_with_foreign_workers_only_the_shared_queue_is_used():
    async with assembled() as parts:
        await gone(parts, "wrk-1")
        await tell(parts, FOREIGN)
        config = await started(parts)
        await taken(parts, FOREIGN.id)
        # It answers nobody, and its instance has no revision.
        await parts.lease.put_instance(replace(instance("a", revision=None), worker_id=FOREIGN.id))
        await parts.until(lambda: parts.routes.ready(config) == 1)
        assert parts.activator.starting(config) == 0


async def test_a_runtime_that_no_worker_has_is_told(two):
    config = await two.put(function())
    other = await two.put(replace(config, version=replace(config.version, revision=2, runtime="python")))
    with pytest.raises(NoCapacity, match="worker wrk-1 has no runtime python"):
        two.activator.start_newest(other)


@pytest.fixture
def _soon_lost(monkeypatch):
    monkeypatch.setattr(placing, "LOST_AFTER_S", 0.0)


@pytest.mark.usefixtures("_soon_lost")
async def test_a_job_that_the_queue_lost_is_put_there_again_as_the_same_request(two):
    config = await started(two)
    [lost] = [c for c in [await maybe(two, "wrk-1"), await maybe(two, "wrk-2")] if c]
    worker_id = placed_on(two, lost)
    await tell(two, ours(worker_id, starting={"fn-1": 1}))
    await tell(two, ours(worker_id, starting={"fn-1": 1}, load=1))
    assert await two.jobs.depth() == 0, "it is being started"
    await tell(two, ours(worker_id))
    [again] = [c for c in [await maybe(two, "wrk-1"), await maybe(two, "wrk-2")] if c]
    assert again.job.request_id == lost.job.request_id
    assert two.activator.starting(config) == 1


def placed_on(parts: Parts, claim: Claim) -> str | None:
    return parts.activator._provisioner.starts._placing.where(claim.job.request_id)


@pytest.mark.usefixtures("_soon_lost")
async def test_one_that_cannot_be_put_there_again_waits_for_the_queue(two, monkeypatch):
    config = await started(two)
    [lost] = [c for c in [await maybe(two, "wrk-1"), await maybe(two, "wrk-2")] if c]
    worker_id = placed_on(two, lost)
    asked = asyncio.Event()

    async def away(_job, _worker_id=None):
        asked.set()
        raise StoreUnavailable("Redis is away")

    with monkeypatch.context() as patch:
        patch.setattr(two.jobs, "submit", away)
        await tell(two, ours(worker_id, load=1))
        await asked.wait()
        assert two.activator.starting(config) == 1
    await tell(two, ours(placed_on(two, lost), load=2))
    [again] = [c for c in [await maybe(two, "wrk-1"), await maybe(two, "wrk-2")] if c]
    assert again.job.request_id == lost.job.request_id
