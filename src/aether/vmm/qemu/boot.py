"""From a spec to a machine whose function listens."""

from __future__ import annotations

import asyncio
import contextlib
import time

from aether.domain.deadline import Deadline
from aether.ports.vmm import BootFailed
from aether.vmm import messages
from aether.vmm.messages import Hello, Pong, Ready
from aether.vmm.qemu.attempts import (
    Unresponsive,
    ending_on_failure,
    failure,
    now_ready,
    persist,
    sign_of_life,
    tail,
    too_little,
)
from aether.vmm.qemu.host import QemuHost
from aether.vmm.qemu.machine import QemuMachine
from aether.vmm.qemu.spawn import Start, spawn

PING_EVERY_S = 3.0


async def boot(host: QemuHost, start: Start, deadline: Deadline) -> QemuMachine:
    """Raises BootFailed, NoCapacity."""
    return await persist(lambda: _attempt(host, start, deadline), deadline)


async def _attempt(host: QemuHost, start: Start, deadline: Deadline) -> QemuMachine:
    begun_s = time.monotonic()
    machine = await spawn(host, start)
    async with ending_on_failure(machine):
        await sign_of_life(machine, Hello, deadline, host.config.boot_watchdog_s)
        up_s = time.monotonic()
        machine.send(messages.metadata(machine.spec, start.launch.token))
        try:
            async with asyncio.timeout(deadline.remaining_s(up_s)):
                reached = await _ready(machine, host.config.silence_watchdog_s)
        except TimeoutError:
            took_s = time.monotonic() - begun_s
            message = f"nothing listened on port {machine.spec.port} within {took_s:.1f} s"
            raise BootFailed(message + too_little(machine), console_tail=tail(machine)) from None
        if not reached:
            raise failure(machine)
        now_ready(machine, "boot", begun_s, up_s)
    return machine


async def _ready(machine: QemuMachine, silence_s: float) -> bool:
    """Wait for the function, and see meanwhile that the guest itself lives. False when it ended."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PING_EVERY_S):
                return await machine.sign(Ready)
        machine.ping()
        try:
            async with asyncio.timeout(silence_s):
                answered = await machine.sign(Pong)
        except TimeoutError:
            raise Unresponsive(silence_s, machine) from None
        if not answered:
            return False
