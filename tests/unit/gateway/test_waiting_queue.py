"""Who waits for a function, in which order, and that it costs little however many there are."""

from __future__ import annotations

import asyncio

from tests.unit.gateway.conftest import instance

from aether.gateway.places import Slot
from aether.gateway.waiting_queue import WaitingQueue


async def test_who_came_first_goes_first_and_who_comes_back_has_its_place():
    queue, slot = WaitingQueue(), Slot(instance("a"))
    second, third = queue.join(2.0), queue.join(3.0)
    first = queue.join(1.0)  # it had been given a place, which was full
    assert len(queue) == 3
    for waiter in (first, second, third):
        assert queue.first() is waiter
        queue.serve(slot)
        assert waiter.place.result() is slot
    assert queue.first() is None
    assert len(queue) == 0


async def test_who_leaves_is_passed_over_and_counted_once():
    queue = WaitingQueue()
    first, second = queue.join(1.0), queue.join(2.0)
    queue.leave(first)
    queue.leave(first)
    assert len(queue) == 1
    assert queue.first() is second


async def test_a_wait_that_was_cancelled_in_this_turn_of_the_loop_gets_nothing():
    queue = WaitingQueue()
    first, second = queue.join(1.0), queue.join(2.0)
    first.place.cancel()
    assert queue.first() is second
    queue.leave(first)
    assert len(queue) == 1


async def test_those_who_left_do_not_pile_up_behind_one_who_stays():
    queue = WaitingQueue()
    queue.join(0.0)
    for number in range(10_000):
        queue.leave(queue.join(1.0 + number))
    assert len(queue) == 1
    assert len(queue._entries) < 200


async def test_ten_thousand_join_leave_and_are_served_without_looking_at_all_of_them():
    queue, slot = WaitingQueue(), Slot(instance("a"))
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiters = [queue.join(float(number)) for number in range(10_000)]
    for waiter in waiters[1::2]:
        queue.leave(waiter)
    served = 0
    while queue.first() is not None:
        queue.serve(slot)
        served += 1
    assert served == 5_000
    assert loop.time() - began < 2, "a look at each for each would take minutes"
