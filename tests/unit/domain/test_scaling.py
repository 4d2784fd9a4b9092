"""The scaling rule, by properties and in simulated time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.function import Limits
from aether.domain.scaling import Decision, FunctionFacts, InstanceFacts, decide

SEED = Limits()


def facts(*instances: InstanceFacts, starting: int = 0, waiting: int = 0) -> FunctionFacts:
    return FunctionFacts(instances=instances, starting=starting, waiting=waiting)


def instance(name: str, *, busy: int = 0, idle_s: float = 0.0, current: bool = True, fresh: bool = True):
    return InstanceFacts(name, busy, idle_s, current, fresh)


def test_more_than_three_requests_per_instance_start_another():
    assert decide(SEED, facts(instance("a", busy=3))) == Decision()
    assert decide(SEED, facts(instance("a", busy=4))) == Decision(start=1)
    assert decide(SEED, facts(instance("a", busy=4), instance("b", busy=2))) == Decision()


def test_one_on_its_way_counts_as_there():
    assert decide(SEED, facts(instance("a", busy=4), starting=1)) == Decision()


def test_requests_that_wait_for_a_boot_do_not_start_one_more_every_second_of_it():
    assert decide(SEED, facts(starting=4, waiting=50)) == Decision()
    assert decide(SEED, facts(instance("a", busy=3), starting=3, waiting=34)) == Decision()


def test_an_idle_instance_leaves_while_another_remains():
    idle = instance("a", idle_s=31)
    assert decide(SEED, facts(idle, instance("b", busy=1))) == Decision(drain=("a",))
    assert decide(SEED, facts(idle)) == Decision()


def test_of_two_idle_ones_the_longer_idle_leaves():
    both = facts(instance("a", idle_s=40), instance("b", idle_s=90))
    assert decide(SEED, both) == Decision(drain=("b",))


def test_all_leave_after_five_minutes():
    assert decide(SEED, facts(instance("a", idle_s=299.9))) == Decision()
    assert decide(SEED, facts(instance("a", idle_s=300), instance("b", idle_s=400))) == Decision(
        drain=("a", "b")
    )


def test_min_instances_are_started_and_kept():
    limits = Limits(min_instances=2)
    assert decide(limits, facts()) == Decision(start=2)
    assert decide(limits, facts(instance("a", idle_s=900), instance("b", idle_s=900))) == Decision()


def test_max_instances_bound_it():
    limits = Limits(max_instances=1)
    assert decide(limits, facts(instance("a", busy=16), waiting=50)) == Decision()


def test_nothing_is_scaled_down_on_old_facts():
    assert decide(SEED, facts(instance("a", idle_s=900, fresh=False))) == Decision()


def test_a_new_version_replaces_a_used_old_one_and_the_old_leaves_only_then():
    old = instance("old", busy=1, current=False)
    assert decide(SEED, facts(old)) == Decision(start=1)
    assert decide(SEED, facts(old, starting=1)) == Decision()
    assert decide(SEED, facts(old, instance("new"))) == Decision(drain=("old",))


def test_an_unused_old_version_just_goes():
    assert decide(SEED, facts(instance("old", idle_s=60, current=False))) == Decision(drain=("old",))


numbers = st.integers(0, 30)


@given(
    st.lists(st.tuples(numbers, st.floats(0, 1000), st.booleans()), max_size=25),
    numbers,
    numbers,
    st.integers(0, 5),
    st.integers(5, 30),
)
def test_bounds_hold_whatever_the_facts(rows, starting, waiting, least, most):
    limits = Limits(min_instances=least, max_instances=most)
    given_facts = FunctionFacts(
        tuple(
            InstanceFacts(str(n), busy, 0.0 if busy else idle, current)
            for n, (busy, idle, current) in enumerate(rows)
        ),
        starting,
        waiting,
    )
    decision = decide(limits, given_facts)
    current = [i for i in given_facts.instances if i.current]
    assert len(current) + starting + decision.start <= max(most, len(current) + starting)
    staying = [i for i in current if i.id not in decision.drain]
    assert len(staying) >= min(least, len(current))
    busy_and_leaving = [i for i in current if i.in_flight and i.id in decision.drain]
    assert not busy_and_leaving


@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_a_quiet_function_goes_to_zero_in_simulated_time(seconds):
    """A trace: a burst of eight requests for a minute, then silence."""
    running: dict[str, float] = {"first": 0.0}
    now, most, ended_at = 0.0, 1, 0.0
    while now < 500:
        load = 8 if now < 60 else 0
        share = -(-load // len(running)) if running else 0
        if load:
            running = dict.fromkeys(running, now)
        seen = facts(
            *(instance(n, busy=share, idle_s=now - at if not load else 0) for n, at in running.items())
        )
        decision = decide(SEED, seen)
        running |= {f"at-{now}-{n}": now for n in range(decision.start)}
        running = {n: at for n, at in running.items() if n not in decision.drain}
        most = max(most, len(running))
        ended_at = ended_at if running or ended_at else now
        now += seconds
    assert most == 3
    assert running == {}
    assert 359 <= ended_at <= 361 + seconds
