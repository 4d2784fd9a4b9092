"""Waiting requests: who gets which instance, what is started for them, and how they fail."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from tests.unit.gateway.conftest import Parts, assembled, function, instance, version, worker

from aether.domain.deadline import Deadline
from aether.domain.errors import (
    DeadlineExceeded,
    FunctionNotFound,
    InstanceFailed,
    NoCapacity,
    OverLimit,
    QueueFull,
)
from aether.domain.function import Limits
from aether.domain.job import JobReply


def soon(seconds: float = 5.0) -> Deadline:
    return Deadline.after(seconds, time.monotonic())


async def waiting(parts: Parts, config, count: int) -> list[asyncio.Task]:
    tasks = [asyncio.ensure_future(parts.activator.acquire(config, soon())) for _ in range(count)]
    await parts.until(lambda: parts.activator.waiting(config.id) == count)
    return tasks


async def taken(parts: Parts, count: int) -> list:
    return [await parts.jobs.take("wrk-1") for _ in range(count)]


async def fail(claim, *, error: str = "it exited", capacity: bool = False) -> None:
    job = claim.job
    await claim.reply(
        JobReply(
            job.request_id,
            job.function_id,
            job.revision,
            None,
            error,
            console_tail="last line",
            capacity=capacity,
        )
    )
    await claim.done()


async def cancelled(tasks: list[asyncio.Task]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def crowded():
    """A gateway that holds 20 waiting requests at most."""
    async with assembled(max_waiting=20) as parts:
        yield parts


async def test_one_start_serves_as_many_as_an_instance_runs_at_once(parts):
    config = await parts.put(function())
    tasks = await waiting(parts, config, 16)
    await taken(parts, 1)
    await parts.lease.put_instance(instance("a"))
    grants = await asyncio.gather(*tasks)
    assert {g.slot.instance.instance_id for g in grants} == {"a"}
    assert grants[0].slot.in_flight == 16
    assert await parts.jobs.depth() == 0


async def test_ten_thousand_who_wait_are_served_in_turn_in_no_time():
    async with assembled(max_waiting=30_000) as parts:
        config = await parts.put(
            function(Limits(max_concurrency=100, max_instances=100, max_starts_in_flight=100))
        )
        order: list[int] = []

        async def call(number: int) -> None:
            grant = await parts.activator.acquire(config, soon(60))
            order.append(number)
            await asyncio.sleep(0)
            parts.activator.release(grant.slot)

        began = time.perf_counter()
        tasks = [asyncio.ensure_future(call(number)) for number in range(10_000)]
        await parts.until(lambda: parts.activator.waiting("fn-1") == 10_000)
        await parts.until(lambda: parts.activator.starting(config) == 100)
        for number in range(20):
            await parts.lease.put_instance(instance(f"inst-{number}"))
        await asyncio.gather(*tasks)
        assert order == sorted(order)
        assert time.perf_counter() - began < 20, "what looks at all for each takes minutes"


async def test_no_more_starts_are_in_flight_than_may_be_and_the_next_follow(parts):
    config = await parts.put(function(Limits(max_concurrency=1, max_starts_in_flight=2)))
    tasks = await waiting(parts, config, 5)
    first, _second = await taken(parts, 2)
    assert (await parts.jobs.depth(), parts.activator.starting(config)) == (0, 2)
    await first.reply(JobReply(first.job.request_id, "fn-1", 1, "a"))
    await parts.lease.put_instance(instance("a"))
    await taken(parts, 1)
    assert (await parts.jobs.depth(), parts.activator.starting(config)) == (0, 2)
    assert not parts.activator.start(config, 5)
    await cancelled(tasks)


async def test_starts_follow_the_hard_concurrency_and_stop_at_the_maximum(parts):
    config = await parts.put(function(Limits(max_concurrency=2, max_instances=3)))
    tasks = await waiting(parts, config, 9)
    await taken(parts, 3)
    assert await parts.jobs.depth() == 0
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_longest_waiting_gets_the_place_that_comes_free(parts):
    config = await parts.put(function(Limits(max_concurrency=1, max_instances=1)))
    await parts.lease.put_instance(instance("a"))
    await parts.until(lambda: parts.routes.instances("fn-1"))
    slot = parts.routes.pick(config)
    order: list[int] = []

    async def call(number: int) -> None:
        grant = await parts.activator.acquire(config, soon())
        order.append(number)
        parts.activator.release(grant.slot)

    tasks = [asyncio.ensure_future(call(n)) for n in range(5)]
    await parts.until(lambda: parts.activator.waiting("fn-1") == 5)
    parts.activator.release(slot)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert slot.in_flight == 0


async def test_a_client_that_goes_leaves_no_place_taken(parts):
    config = await parts.put(function())
    (task,) = await waiting(parts, config, 1)
    await parts.lease.put_instance(instance("a"))
    await parts.until(lambda: parts.routes.instances("fn-1"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (slot,) = parts.routes.slots("fn-1")
    await parts.until(lambda: parts.activator.idle("fn-1"))
    assert slot.in_flight == 0


async def test_a_grant_in_the_turn_in_which_the_deadline_passes_leaves_no_place_taken(parts):
    config = await parts.put(function())
    parts.routes.on_change = lambda _function_id: None
    await parts.lease.put_instance(instance("a"))
    await parts.until(lambda: parts.routes.instances("fn-1"))
    (slot,) = parts.routes.slots("fn-1")
    task = asyncio.ensure_future(parts.activator.acquire(config, soon(0.02)))
    await asyncio.sleep(0)  # it waits; what it has called for is handled in the next turn
    time.sleep(0.05)  # the timer is due in that same turn
    with pytest.raises(DeadlineExceeded):
        await task
    assert slot.in_flight == 0


async def test_a_failed_first_start_fails_those_who_wait_with_the_console(parts):
    config = await parts.put(function())
    tasks = await waiting(parts, config, 2)
    (claim,) = await taken(parts, 1)
    await fail(claim)
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, InstanceFailed)
        assert outcome.hint == "last line"


async def test_a_failed_new_version_falls_back_on_the_last_good_one(parts):
    config = await parts.put(function(revision=2, good=version(1)))
    (task,) = await waiting(parts, config, 1)
    (claim,) = await taken(parts, 1)
    assert claim.job.revision == 2
    await fail(claim)
    (claim,) = await taken(parts, 1)
    assert claim.job.revision == 1
    await parts.lease.put_instance(instance("old", revision=1))
    assert (await task).slot.instance.instance_id == "old"


async def test_a_start_of_an_outdated_version_holds_nobody_up(parts):
    config = await parts.put(function())
    (task,) = await waiting(parts, config, 1)
    (outdated,) = await taken(parts, 1)  # it never listens
    await parts.put(function(revision=2))
    async with asyncio.timeout(5):
        (claim,) = await taken(parts, 1)
    assert claim.job.revision == 2
    await fail(outdated)
    await parts.lease.put_instance(instance("new", revision=2))
    assert (await task).slot.instance.instance_id == "new"


async def test_an_instance_of_a_broken_version_that_comes_after_all_makes_it_serve(parts):
    config = await parts.put(function(revision=2, good=version(1)))
    parts.routes.rollouts.failed(config, 2, "it exited", "")
    assert parts.routes.serving(config).revision == 1
    await parts.lease.put_instance(instance("new", revision=2))
    await parts.until(lambda: not parts.routes.is_broken(config))
    assert parts.routes.serving(config).revision == 2


async def test_the_good_version_serves_while_the_newest_starts_aside(parts):
    await parts.lease.put_instance(instance("old", revision=1))
    config = await parts.put(function(revision=2, good=version(1)))
    async with asyncio.timeout(5):
        (claim,) = await taken(parts, 1)
    assert claim.job.revision == 2
    old = parts.routes.pick(config)
    assert old.instance.instance_id == "old"
    rolled_out = asyncio.ensure_future(parts.routes.rolled_out("fn-1"))
    await asyncio.sleep(0)
    assert not rolled_out.done()
    await parts.lease.put_instance(instance("new", revision=2))
    await rolled_out
    assert parts.routes.pick(config).instance.instance_id == "new"


async def test_no_version_goes_back_when_the_first_instance_of_the_newest_ends(parts):
    await parts.lease.put_instance(instance("old", revision=1))
    config = await parts.put(function(revision=2, good=version(1)))
    await parts.lease.put_instance(instance("new", revision=2))
    await parts.until(lambda: len(parts.routes.instances("fn-1")) == 2)
    await parts.lease.remove_instance("fn-1", "new")
    await parts.until(lambda: len(parts.routes.instances("fn-1")) == 1)
    assert parts.routes.pick(config) is None


async def test_the_newest_starts_with_what_the_running_requests_need(parts):
    await parts.lease.put_instance(instance("old", revision=1))
    config = await parts.put(function(Limits(max_concurrency=2)))
    await parts.until(lambda: parts.routes.ready(config))
    assert all(parts.routes.pick(config) for _ in range(2))
    await parts.lease.put_instance(instance("old-2", revision=1))
    await parts.until(lambda: parts.routes.ready(config) == 2)
    assert parts.routes.pick(config)
    await parts.put(function(Limits(max_concurrency=2), revision=2, good=version(1)))
    async with asyncio.timeout(5):
        assert {claim.job.revision for claim in await taken(parts, 2)} == {2}
    assert await parts.jobs.depth() == 0


async def test_a_newest_version_that_fails_is_rolled_out_with_that(parts):
    await parts.lease.put_instance(instance("old", revision=1))
    config = await parts.put(function(revision=2, good=version(1)))
    rolled_out = asyncio.ensure_future(parts.routes.rolled_out("fn-1"))
    async with asyncio.timeout(5):
        (claim,) = await taken(parts, 1)
        await fail(claim)
        await rolled_out
    assert parts.routes.pick(config).instance.instance_id == "old"


async def test_with_no_instance_of_the_good_version_requests_wait_for_the_newest(parts):
    config = await parts.put(function(revision=2, good=version(1)))
    await parts.routes.rolled_out("fn-1")
    (task,) = await waiting(parts, config, 1)
    (claim,) = await taken(parts, 1)
    assert claim.job.revision == 2
    await parts.lease.put_instance(instance("new", revision=2))
    assert (await task).slot.instance.instance_id == "new"


async def test_no_room_anywhere_is_no_capacity_at_once(parts):
    config = await parts.put(function())
    await parts.lease.put_worker(worker(free_mem=0))
    await parts.until(lambda: not parts.routes.has_room(128))
    with pytest.raises(NoCapacity, match="128 MiB"):
        await parts.activator.acquire(config, soon())


async def test_that_every_worker_drains_is_told(parts):
    config = await parts.put(function())
    await parts.lease.put_worker(replace(worker(), draining=True))
    await parts.until(lambda: not parts.routes.has_room(128))
    with pytest.raises(NoCapacity, match="every worker drains"):
        await parts.activator.acquire(config, soon())


async def test_a_worker_that_turns_out_full_is_no_capacity(parts):
    config = await parts.put(function())
    (task,) = await waiting(parts, config, 1)
    (claim,) = await taken(parts, 1)
    await fail(claim, error="worker is full", capacity=True)
    with pytest.raises(NoCapacity, match="full"):
        await task


async def test_a_full_worker_is_not_asked_again_and_again_but_after_a_while(parts):
    config = await parts.put(function(Limits(max_concurrency=1)))
    await parts.lease.put_instance(instance("a"))
    await parts.until(lambda: parts.routes.instances("fn-1"))
    parts.routes.pick(config)
    (task,) = await waiting(parts, config, 1)
    (claim,) = await taken(parts, 1)
    await fail(claim, error="worker is full", capacity=True)
    await parts.until(lambda: not parts.activator.starting(config))
    for _ in range(20):
        await asyncio.sleep(0)
    assert await parts.jobs.depth() == 0
    async with asyncio.timeout(5):
        await taken(parts, 1)
    await parts.lease.put_instance(instance("b"))
    assert (await task).slot.instance.instance_id == "b"


async def test_a_version_that_keeps_failing_is_not_started_ahead_of_requests_all_the_time(parts):
    config = await parts.put(function(Limits(min_instances=1)))
    for _ in range(2):
        parts.activator.start(config, 1)
        if parts.activator.starting(config):
            (claim,) = await taken(parts, 1)
            await fail(claim)
            await parts.until(lambda: not parts.activator.starting(config))
    assert await parts.jobs.depth() == 0
    assert not parts.activator.start(config, 1)
    assert not parts.activator.starting(config)
    with pytest.raises(
        InstanceFailed, match="did not start: it exited"
    ) as told:  # at once, unlike the starts
        await parts.activator.acquire(config, soon())
    assert (told.value.retry_after_s, told.value.hint) == (1, "last line")
    assert not parts.activator.starting(config)
    newer = await parts.put(function(Limits(min_instances=1), revision=2))
    parts.activator.start(newer, 1)
    assert parts.activator.starting(newer) == 1


async def test_more_than_max_waiting_with_all_instances_busy_or_spoken_for_is_over_limit(parts):
    config = await parts.put(function(Limits(max_waiting=2, max_instances=2, max_concurrency=3)))
    tasks = await waiting(parts, config, 8)
    with pytest.raises(OverLimit) as told:
        await parts.activator.acquire(config, soon())
    assert told.value.retry_after_s
    await parts.lease.put_instance(instance("a"))
    await parts.until(lambda: parts.activator.waiting("fn-1") == 5)
    with pytest.raises(OverLimit):
        await parts.activator.acquire(config, soon())
    await cancelled(tasks)


async def test_with_no_waiting_allowed_a_cold_function_still_starts_and_a_busy_one_refuses(parts):
    config = await parts.put(function(Limits(max_waiting=0, max_instances=1, max_concurrency=1)))
    (task,) = await waiting(parts, config, 1)
    with pytest.raises(OverLimit):
        await parts.activator.acquire(config, soon())
    await parts.lease.put_instance(instance("a"))
    grant = await task
    with pytest.raises(OverLimit):
        await parts.activator.acquire(config, soon())
    parts.activator.release(grant.slot)
    assert parts.routes.pick(config) is grant.slot


async def test_a_flood_at_one_function_leaves_room_for_the_others(crowded):
    flooded = await crowded.put(function(Limits(max_waiting=1000)))
    other = await crowded.put(replace(function(), id="fn-2", name="other"))
    tasks = await waiting(crowded, flooded, 10)
    with pytest.raises(QueueFull) as told:
        await crowded.activator.acquire(flooded, soon())
    assert told.value.retry_after_s
    tasks += await waiting(crowded, other, 5)
    with pytest.raises(QueueFull):
        await crowded.activator.acquire(other, soon())
    await cancelled(tasks)


async def test_the_deadline_ends_the_wait_and_says_where(parts):
    config = await parts.put(function())
    with pytest.raises(DeadlineExceeded, match="boot"):
        await parts.activator.acquire(config, soon(0.05))
    assert parts.activator.waiting("fn-1") == 0


async def test_deleting_the_function_ends_the_wait(parts):
    config = await parts.put(function())
    (task,) = await waiting(parts, config, 1)
    await parts.registry.remove_function("fn-1")
    with pytest.raises(FunctionNotFound):
        await task


async def test_all_who_waited_for_a_start_are_cold_and_told_its_phases(parts):
    config = await parts.put(function())
    tasks = await waiting(parts, config, 2)
    (claim,) = await taken(parts, 1)
    job = claim.job
    await claim.reply(JobReply(job.request_id, "fn-1", 1, "a", phases={"boot": 5.0, "ready": 2.0}))
    await parts.lease.put_instance(instance("a"))
    for grant in await asyncio.gather(*tasks):
        assert grant.cold
        assert list(grant.phases) == ["queue", "place", "boot", "ready"]
    later = await parts.activator.acquire(config, soon())
    assert not later.cold


async def test_a_lost_slot_is_not_chosen_until_the_registry_speaks_of_it_again(parts):
    config = await parts.put(function())
    await parts.lease.put_instance(instance("a"))
    await parts.until(lambda: parts.routes.instances("fn-1"))
    (slot,) = parts.routes.slots("fn-1")
    parts.routes.lose(slot)
    assert parts.routes.pick(config) is None
    await parts.lease.put_instance(instance("a"))
    await parts.until(lambda: not slot.lost)
    assert parts.routes.pick(config) is slot


async def test_a_request_waits_while_idle_instances_leave_for_its_own(parts):
    await parts.lease.put_worker(worker(free_mem=0))
    config = await parts.put(function())
    parts.activator.room_can_be_made = lambda _function: True
    [task] = await waiting(parts, config, 1)
    await parts.until(lambda: parts.activator.missing_room() == {"fn-1": 1})
    await parts.lease.put_worker(worker())
    await taken(parts, 1)
    await parts.lease.put_instance(instance("a"))
    assert (await task).slot.instance.instance_id == "a"
    assert parts.activator.missing_room() == {}


async def test_a_request_that_a_full_worker_refused_waits_while_room_is_made(parts):
    config = await parts.put(function())
    parts.activator.room_can_be_made = lambda _function: True
    [task] = await waiting(parts, config, 1)
    [claim] = await taken(parts, 1)
    await fail(claim, capacity=True)
    await parts.until(lambda: parts.activator.missing_room() == {"fn-1": 1})
    await parts.lease.put_instance(instance("a"))
    assert (await task).slot.instance.instance_id == "a"
