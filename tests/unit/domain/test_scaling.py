"""The scaling rule at one look, by examples and by properties; test_scaling_in_time has the rest."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aether.domain.function import Limits
from aether.domain.scaling import Decision, FunctionFacts, History, InstanceFacts, Keep, decide
from aether.domain.scaling.windows import Look

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


def test_a_used_old_version_gets_as_many_successors_as_the_load_needs():
    old = [instance(f"old{n}", busy=3, current=False) for n in range(4)]
    assert decide(SEED, facts(*old)) == Decision(start=4)
    assert decide(SEED, facts(*old, waiting=500)) == Decision(start=4)
    few_at_once = Limits(max_starts_in_flight=3)
    assert decide(few_at_once, facts(*old, starting=1)) == Decision(start=2)


def test_the_old_does_not_leave_for_a_new_one_that_nothing_is_known_of():
    old, new = instance("old", current=False, idle_s=2), instance("new", fresh=False)
    assert decide(SEED, facts(old, new)) == Decision()


def test_instances_over_a_lowered_maximum_leave_the_least_used_first():
    limits = Limits(max_instances=1)
    assert decide(limits, facts(instance("a", busy=2), instance("b", busy=1))) == Decision(drain=("b",))


def test_no_more_are_started_than_may_be_on_their_way():
    limits = Limits(min_instances=9, max_starts_in_flight=4)
    assert decide(limits, facts()) == Decision(start=4)
    assert decide(limits, facts(starting=3)) == Decision(start=1)
    assert decide(limits, facts(starting=5)) == Decision()


def test_a_load_far_above_is_not_met_at_once_before_it_has_lasted():
    assert decide(SEED, facts(instance("a", busy=60))) == Decision(start=1)
    lasting = History((Look(0, 60), Look(1, 60), Look(2, 60)))
    assert decide(SEED, facts(instance("a", busy=60)), lasting, 3) == Decision(start=10)
    flickering = History((Look(0, 60), Look(1, 3), Look(2, 60)))
    assert decide(SEED, facts(instance("a", busy=60)), flickering, 3) == Decision(start=1)


def test_what_is_to_be_there_ahead_is_started_and_kept():
    on = Keep(30, 300, ahead=1)
    assert decide(SEED, facts(), keep=on) == Decision(ahead=1)
    assert decide(SEED, facts(starting=1), keep=on) == Decision()
    assert decide(SEED, facts(instance("a", idle_s=900)), keep=on) == Decision()


def test_a_busy_instance_does_not_go_however_short_idle_ones_may_stay():
    assert decide(SEED, facts(instance("a", busy=1)), keep=Keep(0, 0)) == Decision()


numbers = st.integers(0, 30)
rows = st.lists(st.tuples(numbers, st.floats(0, 1000), st.booleans(), st.booleans()), max_size=25)
looks = st.lists(st.builds(Look, st.integers(0, 100), numbers, numbers), max_size=8).map(
    lambda some: tuple(sorted(some, key=lambda look: look.at_s))
)
histories = st.builds(History, looks, st.integers(0, 200))
limits_of_any_kind = st.builds(
    lambda target, least, more, starts: Limits(
        target_concurrency=target,
        min_instances=least,
        max_instances=max(1, least + more),
        max_starts_in_flight=starts,
    ),
    st.integers(1, 8),
    st.integers(0, 5),
    st.integers(0, 20),
    st.integers(1, 10),
)
NOW_S = 100.0


def seen(some, starting: int = 0, waiting: int = 0) -> FunctionFacts:
    return facts(
        *(
            instance(str(n), busy=busy, idle_s=0.0 if busy else idle, current=current, fresh=fresh)
            for n, (busy, idle, current, fresh) in enumerate(some)
        ),
        starting=starting,
        waiting=waiting,
    )


@given(limits_of_any_kind, rows, numbers, numbers, histories)
def test_bounds_hold_whatever_the_facts(limits, some, starting, waiting, history):
    look = seen(some, starting, waiting)
    decision = decide(limits, look, history, NOW_S)
    current = [i for i in look.instances if i.current]
    have = len(current) + starting
    assert have + decision.start <= max(limits.max_instances, have)
    assert starting + decision.start <= max(limits.max_starts_in_flight, starting)
    staying = [i for i in current if i.id not in decision.drain]
    assert len(staying) >= min(limits.min_instances, len(current))
    if len(current) <= limits.max_instances:
        assert not [i for i in current if i.in_flight and i.id in decision.drain]


@given(limits_of_any_kind, rows, numbers, numbers, histories)
def test_nothing_leaves_on_old_facts(limits, some, starting, waiting, history):
    old = [(busy, idle, current, False) for busy, idle, current, _ in some]
    assert decide(limits, seen(old, starting, waiting), history, NOW_S).drain == ()


@given(st.tuples(limits_of_any_kind, rows, numbers, numbers, histories), st.integers(1, 50), st.data())
def test_more_requests_never_want_fewer_instances(situation, more, data):
    limits, some, starting, waiting, history = situation

    def wanted(look: FunctionFacts) -> int:
        decision = decide(limits, look, history, NOW_S)
        kept = [i for i in look.instances if i.current and i.id not in decision.drain]
        return len(kept) + starting + decision.start

    before = wanted(seen(some, starting, waiting))
    assert wanted(seen(some, starting, waiting + more)) >= before
    if some:
        n = data.draw(st.integers(0, len(some) - 1))
        busier = [*some]
        busier[n] = (some[n][0] + more, *some[n][1:])
        assert wanted(seen(busier, starting, waiting)) >= before


@given(limits_of_any_kind, rows, numbers, histories, st.integers(-4000, 4000))
def test_it_does_not_matter_what_time_it_is(limits, some, starting, history, jump_s):
    then = History(
        tuple(replace(look, at_s=look.at_s + jump_s) for look in history.looks),
        history.panic_until_s + jump_s,
    )
    assert decide(limits, seen(some, starting), history, NOW_S) == decide(
        limits, seen(some, starting), then, NOW_S + jump_s
    )
