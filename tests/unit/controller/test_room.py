"""A full host: idle instances leave for those who have none, and for the host itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.unit.controller.conftest import MEMORY_MB, SIZE, busy, function, idle, version

from aether.domain.function import Limits


async def test_an_idle_instance_of_another_function_leaves_for_a_request_that_has_none(cluster):
    cluster.free_mem = SIZE // 2
    await cluster.put(function("fn-1"))
    await cluster.ready("a", idle(5))
    await cluster.second()
    call = await cluster.call(await cluster.put(function("fn-2")))
    await cluster.controller.make_room()
    await cluster.settle()
    assert cluster.draining() == ["a"]
    assert not call.done()
    cluster.free_mem += SIZE
    await cluster.lease.remove_instance("fn-1", "a")
    await cluster.second()
    await cluster.ready("b", function_id="fn-2")
    assert (await call).slot.instance.instance_id == "b"


async def test_an_outdated_instance_of_its_own_leaves_for_the_new_version(cluster):
    cluster.free_mem = 0
    await cluster.put(function())
    await cluster.ready("old", idle(5))
    await cluster.put(function("fn-2"))
    await cluster.ready("other", idle(100), function_id="fn-2")
    await cluster.second()
    call = await cluster.call(await cluster.put(function(revision=2)))
    await cluster.second()
    assert cluster.draining() == ["old"]
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_nothing_is_waited_for_where_no_instance_could_go(cluster):
    cluster.free_mem = 0
    await cluster.heartbeat()
    call = await cluster.call(await cluster.put(function("fn-2")))
    assert call.exception().code == "no_capacity"


async def test_running_requests_stay_and_the_answer_comes_when_they_did_not_end_in_seconds(cluster):
    cluster.free_mem = 0
    await cluster.put(function("fn-1"))
    await cluster.ready("a", busy(1))
    await cluster.second()
    call = await cluster.call(await cluster.put(function("fn-2")))
    await cluster.second()
    assert not call.done()
    await cluster.seconds(2)
    assert call.exception().code == "no_capacity"
    later = await cluster.call(cluster.routes.find("fn-2"))
    assert later.exception().code == "no_capacity"
    assert cluster.draining() == []


async def test_one_whose_request_ends_meanwhile_goes(cluster):
    cluster.free_mem = 0
    await cluster.put(function("fn-1"))
    await cluster.ready("a", busy(1))
    await cluster.second()
    call = await cluster.call(await cluster.put(function("fn-2")))
    await cluster.second({"a": idle(0.5)})
    await cluster.second({"a": idle(1.5)})
    assert cluster.draining() == ["a"]
    assert not call.done()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_no_function_loses_what_it_is_to_have_at_least(cluster):
    cluster.free_mem = 0
    await cluster.put(function("fn-1", Limits(min_instances=1)))
    await cluster.ready("a", idle(900))
    await cluster.second()
    call = await cluster.call(await cluster.put(function("fn-2")))
    assert call.exception().code == "no_capacity"
    await cluster.seconds(2)
    assert cluster.draining() == []


async def test_of_two_functions_the_less_called_gives_its_place(cluster):
    for name in ("fn-1", "fn-2"):
        await cluster.put(function(name))
        await cluster.ready(f"of-{name}", idle(2, calls=10), function_id=name)
    await cluster.second()
    for second in range(1, 5):
        await cluster.second({"of-fn-1": idle(2, calls=10 + 30 * second), "of-fn-2": idle(2 + second, 10)})
    cluster.free_mem = 0
    await cluster.heartbeat()
    call = await cluster.call(await cluster.put(function("fn-3")))
    await cluster.second()
    assert cluster.draining() == ["of-fn-2"]
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_a_host_short_of_memory_gets_back_what_idle_ones_hold(cluster):
    await cluster.put(function())
    for number in range(4):
        await cluster.ready(f"idle-{number}", idle(10 - number))
    await cluster.ready("busy", busy(1))
    await cluster.second()
    cluster.short_of = SIZE + 1
    await cluster.seconds(3)
    assert cluster.draining() == ["idle-0", "idle-1"]


async def test_load_that_wants_more_instances_than_fit_takes_the_place_of_idle_ones(cluster):
    cluster.free_mem = 0
    await cluster.put(function("fn-1"))
    await cluster.ready("idle", idle(5))
    await cluster.put(function("fn-2"))
    await cluster.ready("busy", busy(9), function_id="fn-2")
    await cluster.second()
    assert cluster.draining() == ["idle"]


async def test_at_the_platforms_limit_an_idle_instance_leaves_for_load_elsewhere(make):
    cluster = await make(max_instances=2)
    await cluster.put(function("fn-1"))
    await cluster.ready("idle", idle(5))
    await cluster.put(function("fn-2"))
    await cluster.ready("busy", busy(9), function_id="fn-2")
    await cluster.second()
    assert cluster.draining() == ["idle"]
    await cluster.lease.remove_instance("fn-1", "idle")
    await cluster.seconds(2)
    assert await cluster.started() == {"fn-2": 1}


async def test_a_worker_that_has_all_it_may_makes_room_whatever_memory_it_has(cluster):
    cluster.max_instances = 2
    await cluster.put(function("fn-1"))
    await cluster.ready("a", idle(5))
    await cluster.ready("b", idle(4))
    await cluster.second()
    call = await cluster.call(await cluster.put(function("fn-2")))
    await cluster.second()
    assert cluster.draining() == ["a"]
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_no_more_leave_than_the_memory_that_is_wanted(cluster):
    """Four small ones fit where a large one was."""
    await cluster.put(replace(function("fn-1"), version=replace(version(), memory_mb=4 * MEMORY_MB)))
    for name in ("a", "b"):
        await cluster.ready(name, idle(5))
    cluster.free_mem = 0
    await cluster.second()
    config = await cluster.put(function("fn-2", Limits(max_concurrency=1)))
    calls = [await cluster.call(config) for _ in range(4)]
    await cluster.seconds(2)
    assert cluster.draining() == ["a"]
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_room_is_made_between_looks(cluster):
    cluster.free_mem = 0
    await cluster.put(function("fn-1"))
    await cluster.ready("a", idle(5))
    await cluster.second()
    run = asyncio.ensure_future(cluster.controller.run())
    await cluster.settle()
    call = await cluster.call(await cluster.put(function("fn-2")))
    assert cluster.draining() == ["a"]
    for task in (run, call):
        task.cancel()
    await asyncio.gather(run, call, return_exceptions=True)


async def test_a_newest_version_that_fits_only_in_the_place_of_the_one_before_has_it(cluster):
    """There is room for one more of the old, smaller one, but not for the newest."""
    cluster.free_mem = SIZE
    await cluster.put(function())
    await cluster.ready("old", idle(5))
    await cluster.second()
    larger = replace(version(2), memory_mb=2 * MEMORY_MB)
    await cluster.put(replace(function(), version=larger, good=version(1)))
    await cluster.seconds(2)
    assert cluster.draining() == ["old"]
