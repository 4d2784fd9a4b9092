"""Admission by memory."""

from __future__ import annotations

import asyncio

from aether.worker.capacity import MIB, RESERVE, VMM_OVERHEAD, Capacity, host_memory


def capacity(total_mib: int, available_mib: int) -> Capacity:
    return Capacity(lambda: (total_mib * MIB + RESERVE, available_mib * MIB + RESERVE))


def test_this_host_has_memory():
    total, available = host_memory()
    assert 0 < available <= total


def test_what_is_given_counts_whole_though_it_is_not_touched_yet():
    it = capacity(1000, 1000)
    need = 128 + VMM_OVERHEAD // MIB
    with it.taken(128):
        assert it.free == (1000 - need) * MIB
    assert it.free == 1000 * MIB


def test_what_others_use_on_the_host_is_not_given():
    assert not capacity(1000, 100).fits(128)
    assert capacity(1000, 300).fits(128)


async def test_whoever_waits_for_room_goes_on_when_an_instance_ends():
    it = capacity(300, 300)
    with it.taken(128):
        waiter = asyncio.ensure_future(it.room_for(128, look_again_s=60))
        await asyncio.sleep(0)
        assert not waiter.done()
    await asyncio.wait_for(waiter, 5)
