"""From a snapshot's files to a machine with an identity of its own."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time

from aether.domain.deadline import Deadline
from aether.ports.vmm import SnapshotInvalid
from aether.vmm import messages
from aether.vmm.connection import Connection
from aether.vmm.messages import IdentityTaken
from aether.vmm.qemu.attempts import (
    PortTaken,
    Unresponsive,
    ending_on_failure,
    failure,
    now_ready,
    persist,
    sign_of_life,
    tail,
)
from aether.vmm.qemu.host import QemuHost
from aether.vmm.qemu.machine import QemuMachine
from aether.vmm.qemu.monitor import MonitorError, monitor_session
from aether.vmm.qemu.spawn import Start, spawn

ENTROPY_BYTES = 64


async def restore(host: QemuHost, start: Start, state: bytes, deadline: Deadline) -> QemuMachine:
    """Raises BootFailed, SnapshotInvalid, NoCapacity."""
    return await persist(lambda: _attempt(host, start, state, deadline), deadline)


async def _attempt(host: QemuHost, start: Start, state: bytes, deadline: Deadline) -> QemuMachine:
    begun_s = time.monotonic()
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            inherited = theirs.fileno()
            machine = await spawn(host, start, incoming=inherited)
        async with ending_on_failure(machine):
            limit_s = min(host.config.restore_watchdog_s, deadline.remaining_s(begun_s))
            try:
                async with asyncio.timeout(limit_s):
                    await machine.unless_ended(_load(machine, ours, state, inherited))
            except TimeoutError:
                raise Unresponsive(limit_s, machine) from None
            except MonitorError as error:
                raise await _load_failure(machine, error.message) from error
            if machine.end is not None:
                raise await _load_failure(machine, machine.end.detail)
            _introduce(machine)
            await sign_of_life(machine, IdentityTaken, deadline, host.config.restore_watchdog_s)
            now_ready(machine, "restore", begun_s, time.monotonic())
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


def _introduce(machine: QemuMachine) -> None:
    """Tell the guest who it is now, the time, and entropy that no other clone has."""
    token, entropy = secrets.token_hex(16), os.urandom(ENTROPY_BYTES)
    machine.send(messages.identity(machine.spec.instance_id, token, time.time_ns(), entropy))


async def _load_failure(machine: QemuMachine, why: str) -> Exception:
    """What to raise when QEMU would not load a state: it ends by itself then, or is ended."""
    machine.process.kill()
    await machine.ended()
    if isinstance(told := failure(machine), PortTaken):
        return told
    return SnapshotInvalid(f"QEMU could not load the snapshot: {why}", hint=tail(machine) or None)
