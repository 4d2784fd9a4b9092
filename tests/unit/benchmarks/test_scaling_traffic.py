"""The generated traffic, held to the published figures of the Azure trace of 2019."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from benchmarks.scaling.arrivals import REPLAYED_CALLS, calls
from benchmarks.scaling.population import CALL_SHARES, DAY_S, FUNCTION_SHARES, Trigger, population

SEEDS = (1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3)))


@pytest.fixture(scope="module", params=SEEDS)
def functions(request):
    return population(request.param)


@pytest.fixture(scope="module")
def day(functions):
    return {f.name: calls(f, 1) for f in functions}


def share(functions, predicate) -> float:
    return sum(map(predicate, functions)) / len(functions)


def test_rates_are_those_of_the_trace(functions):
    """45 % at most once an hour, 81 % at most once a minute, the rest 99.6 % of the calls."""
    assert share(functions, lambda f: f.calls_per_day <= 24) == pytest.approx(0.45, abs=0.005)
    assert share(functions, lambda f: f.calls_per_day <= 1440) == pytest.approx(0.81, abs=0.005)
    busy = sum(f.calls_per_day for f in functions if f.calls_per_day > 1440)
    assert busy / sum(f.calls_per_day for f in functions) == pytest.approx(0.996, abs=0.0005)


def test_execution_times_are_those_of_the_trace(functions):
    assert share(functions, lambda f: f.execution_s < 1) == pytest.approx(0.5, abs=0.005)
    assert share(functions, lambda f: f.execution_s < 60) == pytest.approx(0.96, abs=0.005)


def test_memory_is_that_of_the_trace(functions):
    assert share(functions, lambda f: f.memory_mb < 170) == pytest.approx(0.5, abs=0.005)
    assert share(functions, lambda f: f.memory_mb < 400) == pytest.approx(0.9, abs=0.005)


def test_triggers_have_their_shares_of_functions_and_of_calls(functions):
    of_functions = Counter(f.trigger for f in functions)
    total = sum(f.calls_per_day for f in functions)
    for trigger in Trigger:
        assert of_functions[trigger] / len(functions) == pytest.approx(FUNCTION_SHARES[trigger], abs=0.005)
        of_calls = sum(f.calls_per_day for f in functions if f.trigger is trigger) / total
        assert of_calls == pytest.approx(CALL_SHARES[trigger], abs=0.02)


def test_as_many_calls_come_as_the_rate_says(functions, day):
    """Of all together to 5 %, of timers to one or two."""
    came = {name: len(of_one.at_s) for name, of_one in day.items()}
    expected = {f.name: min(f.calls_per_day, REPLAYED_CALLS) for f in functions}
    assert sum(came.values()) == pytest.approx(sum(expected.values()), rel=0.05)
    for function in functions:
        if function.trigger is Trigger.TIMER:
            assert came[function.name] == pytest.approx(expected[function.name], abs=2)


def test_calls_are_in_order_within_the_day_and_the_same_for_the_same_seed(functions, day):
    for function in functions[::50]:
        once = day[function.name]
        assert list(once.at_s) == sorted(once.at_s)
        assert all(0 <= at_s < DAY_S for at_s in once.at_s)
        assert all(seconds > 0 for seconds in once.execution_s)
        assert once == calls(function, 1)
        assert function.calls_per_day < 10 or once != calls(function, 2)


def test_patterns_differ_from_regular_to_bursty(day):
    """A fifth or so hardly varies, most vary more than Poisson's 1: the paper's finding on intervals."""
    spreads = sorted(spread for of_one in day.values() if (spread := _spread(of_one.at_s)) is not None)
    regular = sum(s < 0.3 for s in spreads) / len(spreads)
    irregular = sum(s > 1.2 for s in spreads) / len(spreads)
    assert 0.1 < regular < 0.35
    assert irregular > 0.5


def _spread(at_s) -> float | None:
    """Coefficient of variation of the intervals."""
    intervals = [b - a for a, b in pairwise(at_s)]
    if len(intervals) < 10:
        return None
    mean = sum(intervals) / len(intervals)
    return (sum((i - mean) ** 2 for i in intervals) / len(intervals)) ** 0.5 / mean
