"""How long an instance that is to go may take, and whether its machine stays."""

from __future__ import annotations

from aether.adapters.clock import SystemClock
from aether.worker.drain import Drain


async def test_a_worker_told_twice_to_stop_leaves_its_machines_all_the_same():
    drain = Drain(SystemClock())
    drain.leave(30)
    drain.leave(0)
    assert drain.leaves_machine
    assert drain.remaining_s() == 0


async def test_a_machine_that_was_to_go_goes():
    drain = Drain(SystemClock())
    drain.begin(30)
    drain.leave(0)
    assert not drain.leaves_machine
