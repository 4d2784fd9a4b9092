"""Keep-alive policies, by properties and on calls whose pattern is known."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether.domain.function import Limits
from aether.domain.keep_alive import FixedTime, HybridHistogram, Learned, Plan, Policy
from aether.domain.keep_alive.idle_times import LONGEST_S, IdleTimes
from aether.domain.keep_alive.learned import CHEAPEST, DEAREST, FIRST_PRICE, FUNCTIONS, SHORTEST_KEEP_S
from aether.domain.scaling import Keep

POLICIES: dict[str, Callable[[], Policy]] = {
    "seed": lambda: FixedTime(300.0),
    "histogram": HybridHistogram,
    "learned": Learned,
}
idle_times = st.lists(st.floats(0, 200_000) | st.just(300.0) | st.floats(0, 100), max_size=60)
prices = st.floats(CHEAPEST, DEAREST)
unhurried = settings(deadline=None)


def taught(policy: Policy, idles: list[float], run_s: float = 0.1) -> Plan:
    """What it plans after calls that came so long after the one before."""
    now_s = 1000.0
    policy.called("f", None, now_s)
    for idle_s in idles:
        now_s += run_s + idle_s
        policy.called("f", idle_s, now_s)
        policy.review(now_s)
    return policy.plan("f", now_s + run_s)


@pytest.mark.parametrize("name", POLICIES)
@unhurried
@given(idles=idle_times)
def test_windows_are_ascending_apart_and_bounded_whatever_came(name, idles):
    windows = taught(POLICIES[name](), idles).windows
    edges = list(itertools.chain.from_iterable(windows))
    assert edges == sorted(edges)
    assert all(start >= 0 for start, _ in windows)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(windows))


@unhurried
@given(idles=idle_times)
def test_learned_has_nothing_on_for_longer_than_its_maximum(idles):
    windows = taught(Learned(), idles).windows
    assert windows[0][0] == 0.0
    assert windows[0][1] >= SHORTEST_KEEP_S
    assert all(end - start <= LONGEST_S for start, end in windows)
    assert len(windows) < 20


@pytest.mark.parametrize("name", POLICIES)
@unhurried
@given(idles=idle_times)
def test_the_same_calls_give_the_same_plan(name, idles):
    assert taught(POLICIES[name](), idles) == taught(POLICIES[name](), idles)


@unhurried
@given(idles=idle_times, cheap=prices, dear=prices, idle_s=st.floats(0, LONGEST_S))
def test_a_higher_price_never_has_it_on_for_longer(idles, cheap, dear, idle_s):
    cheap, dear = sorted((cheap, dear))
    times = IdleTimes()
    for one in idles:
        times.add(one)
    # Where coming back costs nothing, each moment is decided by itself.
    assert times.plan(dear, 0.0).on_s(idle_s) <= times.plan(cheap, 0.0).on_s(idle_s) + 1e-6


def test_a_plan_tells_the_scaling_rule_what_to_have():
    limits = Limits(instance_idle_timeout_s=20)
    plan = Plan(((0.0, 10.0), (50.0, 60.0)))
    assert plan.at(limits, 5) == Keep(20, float("inf"), ahead=1)
    assert plan.at(limits, 10) == Keep(20, 0.0)
    assert plan.at(limits, 55).ahead == 1
    assert plan.next_change_s(0) == 10
    assert plan.next_change_s(10) == 50
    assert plan.next_change_s(60) == float("inf")
    assert plan.on_s(55) == 15


# The histogram of the paper


def test_histogram_prewarms_for_what_comes_every_half_hour():
    """Idle for 29.5 minutes: bin 29, less and plus 10 %."""
    assert taught(HybridHistogram(), [29.5 * 60] * 10) == Plan(
        ((pytest.approx(29 * 54), pytest.approx(30 * 66)),)
    )


def test_histogram_keeps_what_comes_within_a_minute():
    assert taught(HybridHistogram(), [5.0] * 10) == Plan(((0.0, pytest.approx(66)),))


def test_histogram_without_pattern_keeps_for_its_whole_range():
    assert taught(HybridHistogram(), []) == Plan.keep(4 * 3600)
    even = [60.0 * n + 30 for n in range(240)]
    assert taught(HybridHistogram(), even) == Plan.keep(4 * 3600)


def test_histogram_forecasts_what_is_beyond_its_range():
    day_s = 86_400.0
    assert taught(HybridHistogram(), [day_s] * 4) == Plan(
        ((pytest.approx(0.85 * day_s), pytest.approx(1.15 * day_s)),)
    )


# Ours


def test_a_timer_is_prewarmed_and_costs_seconds_instead_of_minutes():
    plan = taught(Learned(), [1800.0] * 6)
    assert plan.is_on(1800.0)
    assert plan.on_s(1800.0) < 300
    assert not plan.is_on(1000.0)


def test_two_timers_of_one_function_are_both_foretold():
    plan = taught(Learned(), [600.0, 1200.0] * 6)
    assert plan.is_on(600.0)
    assert not plan.is_on(1200.0)


def test_a_timer_whose_runs_take_different_times_is_foretold_from_call_to_call():
    rng = random.Random(1)
    policy, now_s, idle_s = Learned(), 0.0, None
    for n in range(12):
        now_s = 3600.0 * n
        policy.called("f", idle_s, now_s)
        run_s = rng.uniform(1, 900)
        idle_s = 3600.0 - run_s
    plan = policy.plan("f", now_s + run_s)
    assert plan.is_on(idle_s)
    assert plan.on_s(idle_s) < 400


def test_bursts_are_kept_through_and_their_pauses_are_not():
    rng = random.Random(1)
    idles = [rng.expovariate(1 / 4) if n % 12 else rng.uniform(2000, 9000) for n in range(200)]
    plan = taught(Learned(), idles)
    assert 10 < plan.kept_s < 120
    assert plan.on_s(1500) < 200


def test_calls_that_a_rhythm_foretells_only_now_and_then_are_still_waited_for():
    """Of two timers' intervals the one below a minute isn't; and both idle times look alike."""
    not_foretold_s, foretold_s = 49.0, 61.0
    idles = [not_foretold_s, foretold_s] * 40
    assert taught(Learned(), idles).is_on(not_foretold_s)
    assert taught(Learned(), [*idles, not_foretold_s]).is_on(foretold_s)


def test_pauses_between_long_bursts_are_remembered_over_many_calls():
    rng = random.Random(1)
    idles = [rng.expovariate(1 / 2) if n % 50 else rng.expovariate(1 / 200) for n in range(1, 1501)]
    policy, now_s, kept = Learned(), 0.0, []
    for n, idle_s in enumerate(idles, 1):
        if n % 50 == 0 and n > 500:
            kept.append(policy.plan("f", now_s).kept_s)
        now_s += idle_s
        policy.called("f", idle_s, now_s)
    assert len(kept) == 20
    assert min(kept) > 300


def test_what_is_often_called_is_kept_and_what_is_not_is_not():
    rng = random.Random(1)

    def plan(mean_s: float) -> Plan:
        return taught(Learned(), [rng.expovariate(1 / mean_s) for _ in range(200)])

    often, seldom = plan(100), plan(10_000)
    assert often.kept_s > 3 * 100
    assert seldom.on_s(10_000) < 1000


def test_the_price_rises_when_more_is_spent_than_by_the_fixed_rule_and_falls_when_less():
    thrifty, spending = Learned(), Learned()
    for policy, idle_s in ((thrifty, 4000.0), (spending, 100.0)):
        rng, now_s = random.Random(1), 0.0
        for _ in range(400):
            idle = rng.expovariate(1 / idle_s)
            now_s += idle
            policy.called("f", idle, now_s)
            policy.review(now_s)
    assert thrifty.price < spending.price


def test_the_account_compares_with_the_time_that_a_function_would_have_stayed_for():
    short, long = Learned(), Learned()
    for policy, fixed_keep_s in ((short, 10.0), (long, 3600.0)):
        rng, now_s = random.Random(1), 0.0
        for _ in range(200):
            idle_s = rng.expovariate(1 / 1000)
            now_s += idle_s
            policy.called("f", idle_s, now_s, fixed_keep_s)
            policy.review(now_s)
    assert long.price < FIRST_PRICE < short.price


@unhurried
@given(idles=st.lists(st.floats(0, 20_000), max_size=200))
def test_the_price_stays_within_its_bounds(idles):
    policy = Learned()
    taught(policy, idles)
    assert CHEAPEST <= policy.price <= DEAREST


def test_what_is_remembered_is_bounded():
    policy = Learned()
    for n in range(FUNCTIONS + 10):
        policy.called(f"f{n}", None, float(n))
        policy.called("f0", 1.0, float(n))
    assert policy.known == FUNCTIONS
    policy.forget("f0")
    assert policy.known == FUNCTIONS - 1
