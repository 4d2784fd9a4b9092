"""The simulator: what it skips changes nothing, and days counted by hand come out as counted."""

from __future__ import annotations

from array import array

import pytest
from benchmarks.scaling.arrivals import Calls, calls
from benchmarks.scaling.population import population
from benchmarks.scaling.replay import Outcome, Replay
from benchmarks.scaling.suite import measure_day, summed_up

from aether.domain.function import Limits
from aether.domain.keep_alive import FixedTime, HybridHistogram, Learned


def day(*rows: tuple[float, float]) -> Calls:
    return Calls(array("d", (at for at, _ in rows)), array("d", (run for _, run in rows)))


def replay(of: Calls, policy=None, until_s: float = 2000.0, **more) -> Outcome:
    return Replay("f", of, policy or FixedTime(300.0), 0.5, **more).finish(until_s)


def test_a_call_waits_for_its_instance_and_the_next_does_not():
    outcome = replay(day((10.25, 1.0), (100.0, 1.0)))
    assert list(outcome.waits_s) == [0.5]
    assert outcome.starts == 1
    # Ordered at 10.25, idle from 101, seen to be so for 300 s at the 401st second.
    assert outcome.instance_s == pytest.approx(401 - 10.25)


def test_a_call_after_the_instance_went_waits_again():
    outcome = replay(day((0.0, 1.0), (302.5, 1.0)))
    assert len(outcome.waits_s) == 2
    assert outcome.starts == 2


def test_calls_that_come_during_a_start_wait_for_it():
    outcome = replay(day((0.0, 1.0), (0.2, 1.0), (0.6, 1.0)))
    assert list(outcome.waits_s) == pytest.approx([0.5, 0.3])
    assert outcome.starts == 1


def test_more_at_once_than_instances_may_run_start_more():
    outcome = replay(day(*((0.0, 30.0),) * 33))
    assert len(outcome.waits_s) == 33
    assert outcome.starts >= 3


def test_more_than_the_target_starts_another_and_it_leaves_after_30_idle_seconds():
    outcome = replay(day(*((0.0, 5.0),) * 4), until_s=290.0)
    assert outcome.starts == 2
    assert 30 < outcome.instance_s - 290.0 < 60


def test_a_call_that_was_foreseen_waits_for_nothing():
    every_half_hour = day(*((1800.0 * n, 1.0) for n in range(20)))
    outcome = replay(every_half_hour, Learned(), until_s=36_000.0)
    assert len(outcome.waits_s) <= 4
    assert outcome.ahead >= 15
    assert outcome.instance_s < replay(every_half_hour, until_s=36_000.0).instance_s


@pytest.mark.parametrize("policy", [lambda: FixedTime(300.0), HybridHistogram, Learned])
@pytest.mark.parametrize("wanted", [5, 60, 300, 500, 900])
def test_looking_at_every_second_brings_nothing_else(policy, wanted):
    function = population(3)[wanted]
    of = calls(function, 3)
    until_s = 20_000.0
    few = replay(of, policy(), until_s)
    all_seconds = replay(of, policy(), until_s, every_second=True)
    assert all_seconds == few


def test_busy_functions_scale_as_when_every_second_is_looked_at():
    rows = [(n * 0.21 % 500 + (n % 7), 3.0 + n % 11) for n in range(3000)]
    of = day(*sorted(rows))
    limits = Limits(max_instances=6)
    few = replay(of, limits=limits)
    assert few == replay(of, limits=limits, every_second=True)
    assert few.starts > 4


def test_percentiles_count_the_calls_that_did_not_wait():
    outcome = Outcome(calls=1000, waits_s=array("d", [0.1 * n for n in range(1, 21)]), instance_s=1, starts=1)
    figures = summed_up([outcome])
    assert figures.cold_share == 0.02
    assert figures.wait_p99_ms == pytest.approx(1100)
    assert summed_up([Outcome(calls=1000, waits_s=array("d", [9.0]))]).wait_p99_ms == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ours_beats_the_seeds_rule_with_what_that_spends_and_the_histogram_with_more():
    figures = measure_day(4)
    ours, roomy, seed, histogram = (figures[name] for name in ("ours", "ours_roomy", "seed", "histogram"))
    assert ours.cold_share < 0.5 * seed.cold_share
    assert ours.instance_seconds <= seed.instance_seconds
    assert roomy.cold_share <= histogram.cold_share
    assert roomy.instance_seconds <= 0.9 * histogram.instance_seconds
