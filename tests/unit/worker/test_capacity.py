"""Admission by memory and by number."""

from __future__ import annotations

import asyncio

from aether.domain.memory import MIB
from aether.worker.capacity import RESERVE, Capacity


class Host:
    """Memory as the test says: what others use, and what each instance has touched."""

    def __init__(self, total_mib: int) -> None:
        self.total = total_mib * MIB + RESERVE
        self.others = 0
        self.touched: dict[str, int] = {}

    def memory(self) -> tuple[int, int]:
        return self.total, self.total - self.others - sum(self.touched.values())

    def capacity(self, **options: int) -> Capacity:
        return Capacity(self.memory, resident=lambda: self.touched, **options)


def fits(it: Capacity, memory_mib: int, count: int = 1) -> bool:
    return it.why_not("wrk-1", memory_mib, count) is None


def test_what_is_given_counts_whole_though_it_is_not_touched_yet():
    it = Host(1000).capacity(overhead_mib=32)
    it.take("a", 128)
    assert it.look().free == (1000 - 160) * MIB
    it.give_back("a")
    assert it.look().free == 1000 * MIB


def test_what_an_instance_has_touched_counts_once():
    host = Host(1000)
    it = host.capacity()
    it.take("a", 400)
    host.touched["a"] = 300 * MIB
    assert it.look().free == 600 * MIB


def test_memory_that_others_use_and_memory_that_is_promised_both_count():
    """By either alone there would be room: the host's 300 MiB are promised, 200 of them to `a`."""
    host = Host(1000)
    host.others = 700 * MIB
    it = host.capacity()
    it.take("a", 200)
    assert it.look().free == 100 * MIB
    assert not fits(it, 128)


def test_one_that_takes_more_than_it_was_given_has_no_claim_on_others():
    host = Host(1000)
    it = host.capacity()
    it.take("a", 100)
    it.take("b", 100)
    host.touched["a"] = 150 * MIB
    assert it.look().free == (1000 - 150 - 100) * MIB


def test_what_a_vmm_takes_counts_with_each_instance():
    it = Host(1000).capacity(overhead_mib=176)
    assert it.look().slots == 1000 // (64 + 176)
    assert fits(it, 128, count=3)
    assert not fits(it, 128, count=4)


def test_a_number_bounds_instances_whatever_memory_there_is():
    it = Host(10_000).capacity(max_instances=2)
    it.take("a", 64)
    assert it.look().slots == 1
    assert not fits(it, 64, count=2)
    it.take("b", 64)
    assert it.look().slots == 0
    assert "AETHER_MAX_INSTANCES" in str(it.why_not("wrk-1", 64))


def test_a_host_that_others_fill_starts_nothing_and_wants_its_reserve_back():
    host = Host(1000)
    it = host.capacity()
    host.others = 1000 * MIB + RESERVE - 100 * MIB
    assert it.look().short_of == RESERVE - 100 * MIB
    assert "short of memory" in str(it.why_not("wrk-1", 64))
    host.others = 0
    assert it.look().short_of == 0
    assert fits(it, 64)


def test_a_little_less_than_the_reserve_ends_nothing():
    host = Host(1000)
    host.others = 1001 * MIB
    room = host.capacity().look()
    assert (room.free, room.short_of) == (0, 0)


async def test_whoever_waits_for_room_goes_on_when_an_instance_ends():
    it = Host(200).capacity()
    it.take("a", 128)
    waiter = asyncio.ensure_future(it.room_for(128, look_again_s=60))
    await asyncio.sleep(0)
    assert not waiter.done()
    it.give_back("a")
    await asyncio.wait_for(waiter, 5)
