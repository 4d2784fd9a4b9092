"""Who goes when memory is short, by example and by properties."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aether.domain.eviction import Evictions, Need, Occupant, Space, evict

MIB = 1 << 20
SIZE = 200 * MIB


def space(free: int = 0, slots: int = 100, short_of: int = 0, worker: str = "w") -> Space:
    return Space(worker, free, slots, short_of)


def idle(name: str, function: str = "other", **facts) -> Occupant:
    defaults = {"size_bytes": SIZE, "in_flight": 0, "idle_s": 20.0, "rate_per_s": 1.0, "worker_id": "w"}
    return Occupant(**(defaults | {"instance_id": name, "function_id": function} | facts))


def room_for_one(*occupants: Occupant, spare: dict[str, int] | None = None, free: int = 0) -> Evictions:
    spare = {o.function_id: 9 for o in occupants} if spare is None else spare
    return evict([Need("f", SIZE)], [space(free)], occupants, spare)


def test_an_idle_instance_of_another_function_goes():
    assert room_for_one(idle("a")) == Evictions(("a",), frozenset({"f"}))


def test_nothing_goes_where_there_is_room():
    assert room_for_one(idle("a"), free=SIZE) == Evictions((), frozenset({"f"}))


def test_what_leaves_already_counts_as_free():
    assert room_for_one(idle("a"), idle("b", leaving=True)) == Evictions((), frozenset({"f"}))


def test_the_least_called_goes_first_and_of_two_the_longest_idle():
    rare, often = idle("rare", rate_per_s=0.1, idle_s=5), idle("often", rate_per_s=3, idle_s=500)
    assert room_for_one(often, rare).drain == ("rare",)
    assert room_for_one(idle("a", idle_s=5), idle("b", idle_s=6)).drain == ("b",)


def test_an_outdated_one_of_its_own_goes_before_any_other():
    own, foreign = idle("own", "f", outdated=True, rate_per_s=9), idle("foreign", outdated=True)
    assert room_for_one(foreign, own, idle("a", rate_per_s=0)).drain == ("own",)


def test_its_own_current_ones_stay():
    assert room_for_one(idle("own", "f")) == Evictions()


def test_one_that_runs_a_request_or_did_a_moment_ago_stays():
    assert room_for_one(idle("busy", in_flight=1, idle_s=0), idle("just", idle_s=0.4)) == Evictions()


def test_no_function_loses_its_minimum():
    assert room_for_one(idle("a"), spare={"other": 0}) == Evictions()
    both = idle("a", size_bytes=SIZE // 2), idle("b", size_bytes=SIZE // 2)
    assert room_for_one(*both, spare={"other": 1}) == Evictions()


def test_only_as_many_go_as_are_needed():
    small, large = idle("small", size_bytes=MIB, rate_per_s=0.1), idle("large")
    assert room_for_one(small, large).drain == ("large",)


def test_the_worker_where_it_costs_least_makes_room():
    occupants = [idle("a", worker_id="w1", rate_per_s=5), idle("b", worker_id="w2", rate_per_s=1)]
    spaces = [space(worker="w1"), space(worker="w2")]
    assert evict([Need("f", SIZE)], spaces, occupants, {"other": 2}).drain == ("b",)


def test_a_worker_without_a_slot_makes_one():
    full = space(free=100 * SIZE, slots=0)
    assert evict([Need("f", SIZE)], [full], [idle("a")], {"other": 1}).drain == ("a",)


def test_a_host_short_of_memory_gets_it_back_from_idle_ones():
    pressed = space(short_of=SIZE + 1)
    occupants = [idle("a"), idle("b", rate_per_s=2), idle("c", rate_per_s=3), idle("busy", in_flight=1)]
    assert evict([], [pressed], occupants, {"other": 4}).drain == ("a", "b")


def test_what_a_host_is_short_of_is_no_room_for_others():
    pressed = space(free=SIZE, short_of=SIZE)
    assert evict([Need("f", SIZE)], [pressed], [idle("a")], {"other": 1}) == Evictions(
        ("a",), frozenset({"f"})
    )
    assert evict([Need("f", SIZE)], [pressed], [], {}) == Evictions()


occupant = st.builds(
    Occupant,
    instance_id=st.uuids().map(str),
    function_id=st.sampled_from("fgh"),
    worker_id=st.sampled_from(["w1", "w2", "gone"]),
    size_bytes=st.integers(1, 10),
    in_flight=st.integers(0, 1),
    idle_s=st.floats(0, 10),
    rate_per_s=st.floats(0, 5),
    outdated=st.booleans(),
    leaving=st.booleans(),
    fresh=st.booleans(),
)


@given(
    st.lists(occupant, max_size=12),
    st.dictionaries(st.sampled_from("fgh"), st.tuples(st.integers(1, 20), st.integers(1, 3))),
    st.dictionaries(st.sampled_from("fgh"), st.integers(0, 4)),
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 3), st.integers(0, 15)), min_size=2, max_size=2),
)
def test_whatever_is_short_only_idle_ones_above_the_minimum_go_and_room_is_there_if_told(
    occupants, wanted, spare, rows
):
    needs = [Need(function_id, *rest) for function_id, rest in wanted.items()]
    spaces = [Space(f"w{n + 1}", *row) for n, row in enumerate(rows)]
    decided = evict(needs, spaces, occupants, spare)
    gone = [o for o in occupants if o.instance_id in decided.drain]
    assert len(decided.drain) == len(set(decided.drain)) == len(gone)
    assert all(not o.in_flight and o.idle_s >= 1 and o.fresh and not o.leaving for o in gone)
    for function_id in "fgh":
        lost = [o for o in gone if o.function_id == function_id and not o.outdated]
        assert len(lost) <= spare.get(function_id, 0)
    if not needs and not any(s.short_of for s in spaces):
        assert not gone
    for need in needs:
        if need.function_id in decided.met:
            assert any(_could_hold(s, occupants, gone, need) for s in spaces)


def _could_hold(where: Space, occupants: list[Occupant], gone: list[Occupant], need: Need) -> bool:
    freed = [o for o in occupants if o.worker_id == where.worker_id and (o.leaving or o in gone)]
    free = where.free_bytes - where.short_of + sum(o.size_bytes for o in freed)
    smallest = need.size_bytes
    return free >= smallest and where.free_slots + len(freed) > 0


@given(st.lists(occupant, max_size=12), st.integers(1, 20))
def test_what_is_drained_once_is_enough(occupants, size):
    """At the next look the drained ones are leaving, and nothing more goes."""
    spaces, spare = [space(worker="w1"), space(worker="w2")], dict.fromkeys("fgh", 9)
    first = evict([Need("f", size)], spaces, occupants, spare)
    then = [replace(o, leaving=o.leaving or o.instance_id in first.drain) for o in occupants]
    assert evict([Need("f", size)], spaces, then, spare) == Evictions((), first.met)
