"""Starting machines: boot and restore, each with a watchdog and a second try."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from aether.domain.deadline import Deadline
from aether.ports.vmm import BootFailed, EndReason, SnapshotInvalid
from aether.vmm import messages
from aether.vmm.connection import Connection
from aether.vmm.messages import Hello, IdentityTaken, Ready
from aether.vmm.qemu.host import QemuHost
from aether.vmm.qemu.machine import QemuMachine
from aether.vmm.qemu.monitor import MonitorError, monitor_session
from aether.vmm.qemu.spawn import Start, record, spawn

PORT_TRIES = 5
HANGS = 2
"""Attempts that may hang before a start is given up."""
ENTROPY_BYTES = 64


class _Unresponsive(Exception):
    """No sign of life within the watchdog's time."""

    def __init__(self, limit_s: float, console_tail: str) -> None:
        super().__init__()
        self.limit_s = limit_s
        self.console_tail = console_tail


class _PortTaken(Exception):
    """Somebody took the port between our look and QEMU's."""


async def boot(host: QemuHost, start: Start, deadline: Deadline) -> QemuMachine:
    """Until the function listens. Raises BootFailed, NoCapacity."""
    return await _persist(host, start, deadline, host.config.boot_watchdog_s, _boot_once)


async def restore(host: QemuHost, start: Start, state: bytes, deadline: Deadline) -> QemuMachine:
    """Until the guest has its new identity. Raises BootFailed, SnapshotInvalid, NoCapacity."""

    async def once(host: QemuHost, start: Start, deadline: Deadline, watchdog_s: float) -> QemuMachine:
        return await _restore_once(host, start, state, deadline, watchdog_s)

    return await _persist(host, start, deadline, host.config.restore_watchdog_s, once)


_Attempt = Callable[[QemuHost, Start, Deadline, float], Awaitable[QemuMachine]]


async def _persist(
    host: QemuHost, start: Start, deadline: Deadline, watchdog_s: float, attempt: _Attempt
) -> QemuMachine:
    """A second attempt when a guest hangs, some more when a port is gone."""
    hangs = ports = 0
    while True:
        try:
            return await attempt(host, start, deadline, watchdog_s)
        except _PortTaken:
            ports += 1
            if ports == PORT_TRIES:
                raise BootFailed(f"{PORT_TRIES} ports in turn were taken by others") from None
        except _Unresponsive as error:
            hangs += 1
            if hangs == HANGS or deadline.expired(time.monotonic()):
                times = "" if hangs == 1 else ", twice"
                message = f"the guest showed no sign of life within {error.limit_s:.1f} s{times}"
                raise BootFailed(message, console_tail=error.console_tail) from None
        except OSError as error:
            raise BootFailed(f"the machine cannot be started: {error}") from error


async def _boot_once(host: QemuHost, start: Start, deadline: Deadline, watchdog_s: float) -> QemuMachine:
    begun_s = time.monotonic()
    machine = await spawn(host, start)
    async with _ending_on_failure(machine):
        await _sign_of_life(machine, Hello, deadline, watchdog_s)
        up_s = time.monotonic()
        machine.send(messages.metadata(machine.spec, start.launch.token))
        try:
            async with asyncio.timeout(deadline.remaining_s(up_s)):
                reached = await machine.sign(Ready)
        except TimeoutError:
            took_s = time.monotonic() - begun_s
            message = f"nothing listened on port {machine.spec.port} within {took_s:.1f} s"
            raise BootFailed(message, console_tail=machine.console.tail()) from None
        if not reached:
            raise _failure(machine)
        _now_ready(machine, "boot", begun_s, up_s)
    return machine


async def _restore_once(
    host: QemuHost, start: Start, state: bytes, deadline: Deadline, watchdog_s: float
) -> QemuMachine:
    begun_s = time.monotonic()
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            inherited = theirs.fileno()
            machine = await spawn(host, start, incoming=inherited)
        async with _ending_on_failure(machine):
            limit_s = min(watchdog_s, deadline.remaining_s(begun_s))
            try:
                async with asyncio.timeout(limit_s):
                    await machine.unless_ended(_load(machine, ours, state, inherited))
            except TimeoutError:
                raise _Unresponsive(limit_s, machine.console.tail()) from None
            except MonitorError as error:
                raise await _load_failure(machine, error) from error
            if machine.end is not None:
                raise _failure(machine)
            entropy = os.urandom(ENTROPY_BYTES)
            token = secrets.token_hex(16)
            machine.send(messages.identity(machine.spec.instance_id, token, time.time_ns(), entropy))
            await _sign_of_life(machine, IdentityTaken, deadline, watchdog_s)
            _now_ready(machine, "restore", begun_s, time.monotonic())
    return machine


async def _load(machine: QemuMachine, ours: socket.socket, state: bytes, inherited: int) -> None:
    """Send the state to QEMU, and wait until the virtual CPUs run."""
    feed = await Connection.over(ours, lambda _data: None, lambda: None)
    try:
        feed.write(state)
        async with monitor_session(machine.place.directory) as monitor:
            await monitor.migration("migrate-incoming", f"fd:{inherited}")
            await monitor.resumed()
    finally:
        await feed.close()


async def _sign_of_life(
    machine: QemuMachine, kind: type[Hello | IdentityTaken], deadline: Deadline, watchdog_s: float
) -> None:
    limit_s = min(watchdog_s, deadline.remaining_s(time.monotonic()))
    try:
        async with asyncio.timeout(limit_s):
            reached = await machine.sign(kind)
    except TimeoutError:
        raise _Unresponsive(limit_s, machine.console.tail()) from None
    if not reached:
        raise _failure(machine)


def _now_ready(machine: QemuMachine, phase: str, begun_s: float, up_s: float) -> None:
    now_s = time.monotonic()
    machine.phases = {phase: (up_s - begun_s) * 1000, "ready": (now_s - up_s) * 1000}
    machine.ready = True
    record(machine)


@contextlib.asynccontextmanager
async def _ending_on_failure(machine: QemuMachine) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        machine.kill("start failed")
        await machine.ended()
        raise


def _failure(machine: QemuMachine) -> BootFailed | _PortTaken:
    """What to raise for a machine that ended within its start."""
    end = machine.end
    assert end is not None
    if end.reason is EndReason.KILLED:
        if "host forwarding" in machine.process.errors.text():
            return _PortTaken()
        return BootFailed(end.detail, console_tail=_tail(machine))
    return BootFailed(f"the function ended before it was ready: {end.detail}", console_tail=_tail(machine))


async def _load_failure(machine: QemuMachine, error: MonitorError) -> Exception:
    """What to raise when QEMU would not load a state."""
    machine.process.kill()
    await machine.ended()
    failure = _failure(machine)
    if isinstance(failure, _PortTaken):
        return failure
    return SnapshotInvalid(f"QEMU could not load the snapshot: {error.message}", hint=_tail(machine) or None)


def _tail(machine: QemuMachine) -> str:
    parts = (machine.console.tail(), machine.process.errors.tail())
    return "\n".join(part for part in parts if part)
