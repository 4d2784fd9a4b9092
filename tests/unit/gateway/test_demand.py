"""How many instances those who wait need, and how many may wait."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from aether.domain.function import Limits
from aether.gateway.demand import may_wait, starts_missing

limits = st.builds(
    Limits,
    max_concurrency=st.integers(1, 100),
    max_instances=st.integers(1, 100),
    max_starts_in_flight=st.integers(1, 100),
    max_waiting=st.integers(0, 2000),
)
counts = st.integers(0, 200)


@given(limits, st.integers(0, 5000), counts, counts, st.booleans())
def test_starts_keep_within_every_limit(limits, waiting, ready, starting, carefully):
    missing = starts_missing(limits, waiting=waiting, ready=ready, starting=starting, carefully=carefully)
    assert missing >= 0
    if missing:
        assert ready + starting + missing <= limits.max_instances
        assert starting + missing <= limits.max_starts_in_flight
        assert starting + missing <= math.ceil(waiting / limits.max_concurrency)
    if carefully and missing:
        assert starting + missing <= max(1, ready)


@given(limits, st.integers(0, 5000), counts, counts)
def test_more_who_wait_never_want_fewer_starts(limits, waiting, ready, starting):
    def missing(count: int) -> int:
        return starts_missing(limits, waiting=count, ready=ready, starting=starting, carefully=False)

    assert missing(waiting + 1) >= missing(waiting)


def test_a_burst_at_a_cold_function_wants_all_it_needs_at_once():
    burst = Limits(max_concurrency=10, max_instances=100, max_starts_in_flight=100)
    assert starts_missing(burst, waiting=500, ready=0, starting=0, carefully=False) == 50
    assert starts_missing(burst, waiting=500, ready=0, starting=50, carefully=False) == 0


def test_what_kept_failing_is_tried_once_and_then_doubled():
    def missing(ready: int, starting: int) -> int:
        return starts_missing(Limits(), waiting=1000, ready=ready, starting=starting, carefully=True)

    assert [missing(0, 0), missing(0, 1), missing(1, 0), missing(2, 0)] == [1, 0, 1, 2]


def test_those_who_wait_for_instances_that_may_still_come_are_not_counted_as_too_many():
    default = Limits()
    assert may_wait(default, ready=0) == 20 * 16 + 1000
    assert may_wait(default, ready=20) == 1000
    assert may_wait(default, ready=25) == 1000
    assert may_wait(Limits(max_waiting=0, max_instances=1), ready=1) == 0
    assert may_wait(Limits(max_waiting=0, max_instances=1), ready=0) == 16
