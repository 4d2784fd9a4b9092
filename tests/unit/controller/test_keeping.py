"""Keep-alive as a policy has it: what it hears, and what becomes of what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.controller.conftest import busy, function, idle

from aether.domain.function import KEEP_ALIVE_LEARNED, Limits
from aether.domain.keep_alive import Plan

LEARNED = Limits(keep_alive=KEEP_ALIVE_LEARNED)


class Windows:
    """Implements `aether.domain.keep_alive.Policy`: on in fixed windows of the idle time."""

    def __init__(self, *windows: tuple[float, float]) -> None:
        self._plan = Plan(windows)
        self.heard: list[float | None] = []
        self.fixed: list[float] = []
        self.forgotten: list[str] = []

    def called(
        self, function_id: str, idle_s: float | None, at_s: float, fixed_keep_s: float = 300.0
    ) -> None:
        self.heard.append(idle_s)
        self.fixed.append(fixed_keep_s)

    def plan(self, function_id: str, idle_since_s: float) -> Plan:
        return self._plan

    def review(self, now_s: float) -> None:
        """Nothing to weigh."""

    def forget(self, function_id: str) -> None:
        self.forgotten.append(function_id)


async def test_an_instance_goes_when_the_plan_says_and_one_comes_back_ahead_of_the_call(make):
    cluster = await make(keep_alive=Windows((0, 5), (20, 30)))
    await cluster.put(function(limits=LEARNED))
    await cluster.ready("a", busy(1))
    await cluster.second()
    await cluster.second({"a": idle(1)})
    assert cluster.draining() == []
    for second in range(2, 6):
        await cluster.second({"a": idle(second)})
    assert cluster.draining() == ["a"]
    await cluster.lease.remove_instance("fn-1", "a")
    del cluster.loads["a"]
    await cluster.seconds(13)
    assert await cluster.started() == {}
    await cluster.seconds(3)
    assert await cluster.started() == {"fn-1": 1}


async def test_one_that_came_ahead_goes_when_its_time_is_over(make):
    cluster = await make(keep_alive=Windows((4, 8)))
    await cluster.put(function(limits=LEARNED))
    await cluster.ready("served", busy(1))
    await cluster.second()
    await cluster.second({"served": idle(0.5)})
    assert cluster.draining() == ["served"]
    await cluster.lease.remove_instance("fn-1", "served")
    del cluster.loads["served"]
    await cluster.seconds(4)
    await cluster.come_up("ahead", idle(0.5, calls=0))
    await cluster.seconds(3)
    assert cluster.draining() == []
    await cluster.seconds(2)
    assert cluster.draining() == ["ahead"]


async def test_one_that_was_never_called_gets_no_instance_ahead(make):
    cluster = await make(keep_alive=Windows((0, 1000)))
    await cluster.put(function(limits=LEARNED))
    await cluster.seconds(5)
    assert await cluster.started() == {}


async def test_the_policy_hears_how_long_it_was_idle_and_what_the_fixed_rule_would_have_done(make):
    policy = Windows((0, 1000))
    cluster = await make(keep_alive=policy)
    await cluster.put(function(limits=replace(LEARNED, scale_to_zero_after_s=45.0)))
    await cluster.ready("a", idle(0.5, calls=3))
    await cluster.second()
    for second in range(1, 8):
        await cluster.second({"a": idle(second, calls=3)})
    await cluster.second({"a": idle(0.3, calls=5)})
    assert policy.heard == [pytest.approx(8.5)]
    assert policy.fixed == [45.0]


async def test_what_was_learned_of_a_function_goes_with_it(make):
    policy = Windows()
    cluster = await make(keep_alive=policy)
    await cluster.put(function(limits=LEARNED))
    await cluster.second()
    await cluster.registry.remove_function("fn-1")
    await cluster.settle()
    await cluster.second()
    assert policy.forgotten == ["fn-1"]


async def test_functions_that_do_not_learn_keep_to_their_times(make):
    cluster = await make(keep_alive=Windows())
    await cluster.put(function())
    await cluster.ready("a", idle(100))
    await cluster.seconds(3)
    assert cluster.draining() == []
