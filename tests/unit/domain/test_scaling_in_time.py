"""Scaling over time: a function under some load, looked at every second by the rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether.domain.function import Limits
from aether.domain.scaling import FunctionFacts, History, InstanceFacts, decide

SEED = Limits()
Spread = Callable[[int, int, int], list[int]]


def packed(load: int, instances: int, most: int) -> list[int]:
    """Each filled before the next gets any, as where requests outlast the instances that came for them."""
    return [max(0, min(most, load - most * n)) for n in range(instances)]


def even(load: int, instances: int, most: int) -> list[int]:
    return [min(most, load // instances + (n < load % instances)) for n in range(instances)]


@dataclass
class Simulation:
    """`load(second)` requests at a time; what no instance can take waits, and has instances asked for."""

    limits: Limits
    load: Callable[[int], int]
    spread: Spread = even
    boot_s: int = 3
    ready: dict[int, float] = field(default_factory=dict)
    """Idle seconds by instance."""
    booting: list[int] = field(default_factory=list)
    """Seconds left of each."""
    history: History = field(default_factory=History)
    now_s: int = 0
    moves: list[tuple[int, int, int]] = field(default_factory=list)
    """Second, started, drained: where there were any."""
    most: int = 0
    _named: int = 0

    def run(self, seconds: int) -> Simulation:
        for _ in range(seconds):
            self._second()
        return self

    def moved_since(self, second: int) -> list[tuple[int, int, int]]:
        return [move for move in self.moves if move[0] >= second]

    def _second(self) -> None:
        self.now_s += 1
        self.booting = [left - 1 for left in self.booting]
        for _ in [left for left in self.booting if left <= 0]:
            self._add()
        self.booting = [left for left in self.booting if left > 0]
        load = self.load(self.now_s)
        shares = self.spread(load, len(self.ready), self.limits.max_concurrency) if self.ready else []
        waiting = load - sum(shares)
        in_flight = dict(zip(self.ready, shares, strict=True))
        self.ready = {n: 0.0 if in_flight[n] else idle + 1 for n, idle in self.ready.items()}
        asked = self._asked_for_waiting(waiting)
        self.booting += [self.boot_s] * asked
        facts = FunctionFacts(
            tuple(InstanceFacts(str(n), in_flight[n], idle, True) for n, idle in self.ready.items()),
            starting=len(self.booting),
            waiting=waiting,
        )
        decision = decide(self.limits, facts, self.history, self.now_s)
        self.history = decision.history
        self.booting += [self.boot_s] * decision.start
        for name in decision.drain:
            del self.ready[int(name)]
        if asked + decision.start or decision.drain:
            self.moves.append((self.now_s, asked + decision.start, len(decision.drain)))
        self.most = max(self.most, len(self.ready) + len(self.booting))

    def _asked_for_waiting(self, waiting: int) -> int:
        wanted = -(-waiting // self.limits.max_concurrency)
        most = self.limits.max_instances - len(self.ready)
        return max(0, min(wanted, most) - len(self.booting))

    def _add(self) -> None:
        self._named += 1
        self.ready[self._named] = 0.0


some_limits = st.builds(
    lambda target, room, least, more, starts: Limits(
        target_concurrency=target,
        max_concurrency=target + room,
        min_instances=least,
        max_instances=least + more,
        max_starts_in_flight=starts,
    ),
    st.integers(1, 8),
    st.integers(0, 30),
    st.integers(0, 3),
    st.integers(1, 20),
    st.integers(1, 10),
)


@given(
    some_limits,
    st.integers(0, 200),
    st.sampled_from([packed, even]),
    st.integers(1, 8),
    st.integers(0, 25),
)
@settings(max_examples=150)
def test_steady_load_reaches_a_number_and_stays_there(limits, level, spread, boot_s, there):
    run = Simulation(limits, lambda _: level, spread, boot_s)
    for _ in range(min(there, limits.max_instances)):
        run._add()
    run.run(420)
    reached = run.now_s
    run.run(60)
    assert run.moved_since(reached + 1) == []
    assert limits.min_instances <= len(run.ready) <= limits.max_instances
    if level:
        enough = -(-level // limits.target_concurrency)
        assert len(run.ready) >= min(enough, limits.max_instances)


@given(some_limits, st.lists(st.integers(0, 100), min_size=1, max_size=10), st.integers(1, 40))
@settings(max_examples=100)
def test_bounds_hold_all_the_time_whatever_the_load_does(limits, levels, each_s):
    run = Simulation(limits, lambda second: levels[second // each_s % len(levels)])
    for _ in range(300):
        run.run(1)
        assert len(run.ready) + len(run.booting) <= limits.max_instances
        if run.now_s > 20 + 10 * limits.min_instances:
            assert len(run.ready) + len(run.booting) >= limits.min_instances


def test_requests_that_outlast_the_boot_of_their_relief_do_not_make_it_come_and_go():
    """Four long requests on one instance start a second, which nobody then uses."""
    run = Simulation(SEED, lambda _: 4, packed).run(300)
    assert [started for _, started, _ in run.moves] == [1, 1]
    assert len(run.ready) == 2


@pytest.mark.parametrize("pause_s", [5, 12, 25])
def test_bursts_with_pauses_shorter_than_the_idle_time_out_do_not_flap(pause_s):
    run = Simulation(SEED, lambda second: 30 if second % (pause_s + 5) < 5 else 0).run(300)
    reached = run.now_s
    run.run(120)
    assert run.moved_since(reached + 1) == []
    assert len(run.ready) == 10


def test_a_quiet_function_goes_to_one_after_thirty_seconds_and_to_none_after_five_minutes():
    run = Simulation(SEED, lambda second: 8 if second <= 60 else 0).run(60)
    assert len(run.ready) == 3
    run.run(29)
    assert len(run.ready) == 3
    run.run(3)
    assert len(run.ready) == 1
    run.run(267)
    assert len(run.ready) == 1
    run.run(3)
    assert len(run.ready) == 0


def test_a_load_far_above_is_met_at_once_and_a_little_more_by_one_a_second():
    limits = replace(SEED, max_concurrency=100, max_instances=100, max_starts_in_flight=30)
    far = Simulation(limits, lambda second: 3 if second <= 20 else 90).run(20 + 4)
    assert len(far.ready) + len(far.booting) == 30
    above = Simulation(limits, lambda second: 30 if second <= 60 else 55).run(60 + 4)
    assert len(above.ready) + len(above.booting) == 10 + 4


def test_nothing_idle_goes_while_the_load_was_far_above_a_moment_ago():
    limits = replace(SEED, max_concurrency=100, instance_idle_timeout_s=30)
    run = Simulation(limits, lambda second: 100 if second <= 10 else 1).run(12)
    peak = len(run.ready) + len(run.booting)
    run.run(27)
    assert len(run.ready) == peak
    run.run(10)
    assert len(run.ready) == 1
