"""What a boot and a restore have in common: a watchdog, a second try, and telling a failure."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from aether.domain.deadline import Deadline
from aether.ports.vmm import BootFailed, EndReason
from aether.vmm.messages import Hello, IdentityTaken
from aether.vmm.qemu.machine import QemuMachine
from aether.vmm.qemu.spawn import record

PORT_TRIES = 5
LEAST_MIB = 96
"""Node gets ready with so much. With 80 it reads its own pages again and again and never does; below 76 the
kernel has not enough for itself. All measured."""
HANGS = 2
"""Attempts that may hang before a start is given up."""


class Unresponsive(Exception):
    """No sign of life within the watchdog's time."""

    def __init__(self, limit_s: float, machine: QemuMachine) -> None:
        super().__init__()
        self.limit_s = limit_s
        self.console_tail = tail(machine)
        self.too_little = too_little(machine)


class PortTaken(Exception):
    """Somebody took the port between our look and QEMU's."""


async def persist(attempt: Callable[[], Awaitable[QemuMachine]], deadline: Deadline) -> QemuMachine:
    """A second attempt when a guest hangs, some more when a port is gone. Raises BootFailed."""
    hangs = ports = 0
    while True:
        try:
            return await attempt()
        except PortTaken:
            ports += 1
            if ports == PORT_TRIES:
                raise BootFailed(f"{PORT_TRIES} ports in turn were taken by others") from None
        except Unresponsive as error:
            hangs += 1
            if hangs == HANGS or deadline.expired(time.monotonic()):
                times = "" if hangs == 1 else ", twice"
                message = f"the guest showed no sign of life within {error.limit_s:.1f} s{times}"
                raise BootFailed(message + error.too_little, console_tail=error.console_tail) from None
        except OSError as error:
            raise BootFailed(f"the machine cannot be started: {error}") from error


async def sign_of_life(
    machine: QemuMachine, kind: type[Hello | IdentityTaken], deadline: Deadline, watchdog_s: float
) -> None:
    """Wait for a message. Raises Unresponsive, or what the machine ended of."""
    limit_s = min(watchdog_s, deadline.remaining_s(time.monotonic()))
    try:
        async with asyncio.timeout(limit_s):
            reached = await machine.sign(kind)
    except TimeoutError:
        raise Unresponsive(limit_s, machine) from None
    if not reached:
        raise failure(machine)


def now_ready(machine: QemuMachine, phase: str, begun_s: float, up_s: float) -> None:
    """From here on it can be adopted."""
    now_s = time.monotonic()
    machine.phases = {phase: (up_s - begun_s) * 1000, "ready": (now_s - up_s) * 1000}
    machine.ready = True
    record(machine)


@contextlib.asynccontextmanager
async def ending_on_failure(machine: QemuMachine) -> AsyncIterator[None]:
    """Whatever is raised within, cancellation too, ends the machine first."""
    try:
        yield
    except BaseException:
        machine.kill("start failed")
        await machine.ended()
        raise


def failure(machine: QemuMachine) -> BootFailed | PortTaken:
    """What to raise for a machine that ended within its start."""
    end = machine.end
    assert end is not None
    if end.reason is EndReason.KILLED:
        if "host forwarding" in machine.process.errors.text():
            return PortTaken()
        detail = (
            f"the machine was killed {end.detail}" if end.detail.startswith("by the host") else end.detail
        )
        return BootFailed(detail, console_tail=tail(machine))
    if end.reason is EndReason.OUT_OF_MEMORY:
        detail = f"it ran out of memory before it was ready ({end.detail}){too_little(machine, always=True)}"
        return BootFailed(detail, console_tail=tail(machine))
    return BootFailed(f"the function ended before it was ready: {end.detail}", console_tail=tail(machine))


def too_little(machine: QemuMachine, *, always: bool = False) -> str:
    """What to add to a failure that may be one of memory; empty where there is enough for any runtime."""
    memory_mib = machine.spec.memory_mib
    return f"; memory_mb {memory_mib} may be too little" if always or memory_mib < LEAST_MIB else ""


def tail(machine: QemuMachine) -> str:
    """The newest lines of the guest and of QEMU itself."""
    parts = (machine.console.tail(), machine.process.errors.tail())
    return "\n".join(part for part in parts if part)
