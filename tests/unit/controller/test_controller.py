"""What the controller does with what it sees: starts, drains, and what it leaves alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.controller.conftest import busy, function, idle

from aether.domain.errors import StoreUnavailable
from aether.domain.function import Limits


async def test_more_than_the_target_starts_another_and_not_one_more_while_it_is_on_its_way(cluster):
    await cluster.put(function())
    await cluster.ready("a", busy(4))
    await cluster.seconds(3)
    assert await cluster.started() == {"fn-1": 1}


async def test_a_sustained_load_far_above_starts_what_it_needs_but_not_more_at_once_than_may_be(cluster):
    await cluster.put(function(limits=Limits(max_concurrency=100, max_starts_in_flight=7)))
    await cluster.ready("a", busy(60))
    await cluster.second()
    assert await cluster.started() == {"fn-1": 1}
    await cluster.seconds(5)
    assert await cluster.started() == {"fn-1": 6}


async def test_of_two_an_idle_instance_leaves_and_is_told_once(cluster):
    await cluster.put(function())
    await cluster.ready("a", idle(31))
    await cluster.ready("b", busy(1))
    await cluster.seconds(3)
    assert cluster.draining() == ["a"]
    assert cluster.registry.told == ["a"]


async def test_all_leave_after_five_minutes(cluster):
    await cluster.put(function())
    await cluster.ready("a", idle(299))
    await cluster.seconds(2)
    assert cluster.draining() == []
    await cluster.second({"a": idle(300)})
    assert cluster.draining() == ["a"]


async def test_nothing_leaves_on_facts_of_a_worker_that_is_silent(cluster):
    await cluster.put(function())
    await cluster.ready("a", idle(20))
    await cluster.seconds(2)
    cluster.loads["a"] = cluster.loads["a"].__class__("fn-1", 0, 900.0, 1)
    await cluster.heartbeat()
    cluster.clock.tick(6)
    for _ in range(10):
        await cluster.second(heartbeat=False)
    assert cluster.draining() == []
    await cluster.second()
    assert cluster.draining() == ["a"]


async def test_a_record_that_was_there_before_is_not_taken_for_recent(make):
    cluster = await make()
    await cluster.put(function())
    await cluster.ready("a", idle(900))
    await cluster.heartbeat()
    fresh = type(cluster.controller)(cluster.routes, cluster.activator, cluster.registry, cluster.clock)
    for _ in range(3):
        cluster.clock.tick()
        await fresh.look()
    await cluster.settle()
    assert cluster.draining() == []
    await cluster.heartbeat()
    await fresh.look()
    await cluster.settle()
    assert cluster.draining() == ["a"]


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_wall_clock_that_jumps_changes_nothing(cluster, hours):
    await cluster.put(function())
    await cluster.ready("a", idle(20))
    await cluster.ready("b", busy(1))
    await cluster.seconds(2)
    cluster.clock.wall += timedelta(hours=hours)
    await cluster.seconds(2)
    assert cluster.draining() == []
    await cluster.second({"a": idle(30)})
    cluster.clock.wall -= timedelta(hours=hours)
    await cluster.second()
    assert cluster.draining() == ["a"]
    assert await cluster.started() == {}


async def test_instances_of_foreign_workers_are_left_alone(cluster):
    await cluster.put(function())
    await cluster.ready("foreign", idle(900), revision=None)
    await cluster.ready("ours", busy(1))
    await cluster.seconds(3)
    assert cluster.draining() == []


async def test_min_instances_are_started_ahead_and_the_platform_has_no_more_than_it_may(make):
    cluster = await make(max_instances=5)
    await cluster.put(function("fn-1", Limits(min_instances=3)))
    await cluster.put(function("fn-2", Limits(min_instances=3)))
    await cluster.seconds(3)
    assert (await cluster.started()).total() == 5


async def test_what_goes_wrong_with_one_function_costs_the_others_nothing(cluster, monkeypatch):
    for name in ("fn-1", "fn-2", "fn-3"):
        await cluster.put(function(name, Limits(min_instances=1)))
    start = cluster.activator.start

    def failing(config, count):
        if config.id == "fn-1":
            raise RuntimeError("a bug")
        if config.id == "fn-2":
            raise StoreUnavailable("away")
        return start(config, count)

    monkeypatch.setattr(cluster.activator, "start", failing)
    await cluster.second()
    assert await cluster.started() == {"fn-3": 1}


async def test_a_drain_that_could_not_be_told_is_told_at_the_next_look(cluster, monkeypatch):
    await cluster.put(function())
    await cluster.ready("a", idle(300))
    await cluster.ready("b", idle(300))
    set_status = cluster.registry.set_status

    async def away(*_):
        raise StoreUnavailable("away")

    monkeypatch.setattr(cluster.registry, "set_status", away)
    await cluster.seconds(2)
    assert cluster.draining() == []
    monkeypatch.setattr(cluster.registry, "set_status", set_status)
    await cluster.second()
    assert cluster.draining() == ["a", "b"]


async def test_a_new_version_takes_over_at_the_measure_of_the_load_and_the_old_leaves_then(cluster):
    await cluster.put(function())
    for name in "abcd":
        await cluster.ready(name, busy(3))
    await cluster.seconds(3)
    await cluster.put(function(revision=2))
    await cluster.second()
    assert await cluster.started() == {"fn-1": 4}
    assert cluster.draining() == []
    await cluster.ready("new", idle(0.1), revision=2)
    await cluster.second()
    assert cluster.draining() == ["a", "b", "c", "d"]


async def test_a_lowered_maximum_lets_the_least_used_go(cluster):
    await cluster.put(function())
    for name, load in {"a": busy(2), "b": busy(1), "c": idle(2)}.items():
        await cluster.ready(name, load)
    await cluster.second()
    await cluster.put(function(limits=Limits(max_instances=1)))
    await cluster.second()
    assert cluster.draining() == ["b", "c"]
