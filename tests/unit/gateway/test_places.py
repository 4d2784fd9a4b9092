"""Which instance a request gets, and that nobody gets more than the hard limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.conftest import NOW, instance

from aether.domain.instance import InstanceStatus
from aether.gateway.places import Places, Slot


def places_of(*slots: Slot, revision: int = 1, limit: int = 2) -> Places:
    places = Places()
    places.renew(slots, revision, limit)
    return places


def test_an_instance_gets_no_more_than_the_limit_and_the_next_one_when_one_ends():
    slot = Slot(instance("a"))
    places = places_of(slot)
    assert [places.take(), places.take(), places.take()] == [slot, slot, None]
    places.give_back(slot)
    assert places.take() is slot
    assert (slot.in_flight, places.given) == (2, 3)


def test_of_two_the_less_loaded_one_is_chosen():
    busy, idle = Slot(instance("busy")), Slot(instance("idle"))
    busy.in_flight = 5
    places = places_of(busy, idle, limit=16)
    assert {places.take() for _ in range(5)} == {idle}


def test_load_is_spread_over_many():
    slots = [Slot(instance(f"i{n}")) for n in range(20)]
    places = places_of(*slots, limit=100)
    for _ in range(400):
        places.take()
    assert max(slot.in_flight for slot in slots) <= 2 * min(slot.in_flight for slot in slots)


def test_calls_one_after_the_other_leave_the_younger_ones_idle_so_that_they_can_go():
    slots = [Slot(replace(instance(f"i{n}"), started_at=NOW + timedelta(seconds=n))) for n in range(10)]
    places = places_of(*slots)
    seconds = 0
    while len(slots) > 1 and seconds < 900:
        idle = set(slots)
        for _ in range(30):
            slot = places.take()
            places.give_back(slot)
            idle.discard(slot)
        seconds += 30
        slots = [slot for slot in slots if slot not in idle] or slots[:1]
        places.renew(slots, 1, 2)
    assert [slot.instance.instance_id for slot in slots] == ["i0"]


def test_outdated_draining_and_lost_ones_get_nothing():
    slots = [
        Slot(instance("old", revision=1)),
        Slot(instance("draining", revision=2, status=InstanceStatus.DRAINING)),
        Slot(instance("lost", revision=2)),
        Slot(instance("foreign", revision=None)),
    ]
    slots[2].lost = True
    places = places_of(*slots, revision=2)
    assert places.ready == 1
    assert [places.take(), places.take(), places.take()] == [slots[3], slots[3], None]


def test_one_that_refused_rests_until_told_or_until_a_request_of_ours_there_ends():
    slot = Slot(instance("a"))
    places = places_of(slot)
    places.take()
    assert places.take() is slot
    places.rest(slot)
    assert (places.take(), slot.in_flight, slot.refusals) == (None, 1, 1)
    places.give_back(slot)
    assert (places.take(), slot.refusals) == (slot, 0)
    places.rest(slot)
    places.rested(slot)
    assert places.take() is slot


def test_another_than_the_one_to_avoid_is_chosen_where_there_is_one():
    failed, other = Slot(instance("failed")), Slot(instance("other"))
    other.in_flight = 1
    places = places_of(failed, other)
    assert places.take(avoid=failed) is other
    assert places.take(avoid=failed) is failed, "nothing else has room"


def test_what_the_registry_removed_never_comes_back():
    gone, stays = Slot(instance("gone")), Slot(instance("stays"))
    places = places_of(gone, stays, limit=1)
    taken = {places.take(), places.take()}
    assert taken == {gone, stays}
    gone.gone()
    places.renew([stays], 1, 1)
    places.give_back(gone)
    places.rested(gone)
    assert places.take() is None
    places.give_back(stays)
    assert places.take() is stays


@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "give", "rest", "rested", "renew"]), st.integers(0, 9)),
        max_size=200,
    ),
    st.integers(1, 4),
    st.integers(1, 6),
)
def test_whatever_happens_free_means_room_and_room_means_free(steps, limit, count):
    slots = [Slot(instance(f"i{n}")) for n in range(count)]
    places = places_of(*slots, limit=limit)
    for step, number in steps:
        slot = slots[number % count]
        match step:
            case "take":
                places.take()
            case "give" if slot.in_flight:
                places.give_back(slot)
            case "rest" if slot.in_flight:
                places.rest(slot)
            case "rested":
                places.rested(slot)
            case "renew":
                places.renew(slots, 1, limit)
        room = [s for s in slots if s.in_flight < limit and not s.resting]
        assert all(0 <= s.in_flight <= limit for s in slots)
        assert sorted(s.instance.instance_id for s in places._free) == sorted(
            s.instance.instance_id for s in room
        )
        assert all(places._free[s.index] is s for s in room)
