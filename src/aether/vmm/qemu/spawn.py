"""From a launch to a QEMU process with everything it inherits."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from aether.ports.vmm import OnLog
from aether.vmm.qemu import sockets
from aether.vmm.qemu.command import Descriptors, Launch, command_line
from aether.vmm.qemu.host import QemuHost
from aether.vmm.qemu.machine import QemuMachine
from aether.vmm.qemu.process import Process, privilege_prefix, start_ticks
from aether.vmm.qemu.records import Record, write_record

MEMORY = "memory"
"""Name of the file that is a machine's memory, in its run directory and in a snapshot's."""


@dataclass(frozen=True, slots=True)
class Start:
    """A machine to start, by boot or by restore. `memory` is a snapshot's file, `incoming` the
    descriptor that its state comes from.
    """

    launch: Launch
    on_log: OnLog
    prepared: bool = False
    memory: Path | None = None


async def spawn(host: QemuHost, start: Start, incoming: int | None = None) -> QemuMachine:
    """A machine whose process runs and is connected. Leaves nothing behind when it fails.

    Raises OSError when a file is missing, NoCapacity when the host has no port or user left.
    """
    machine = host.admit(start.launch.spec, start.on_log, prepared=start.prepared)
    try:
        with contextlib.ExitStack() as ours:
            descriptors = _open_all(host, machine, start, ours)
            await machine.connect()
            prefix = privilege_prefix(
                host.config, machine.place.uid, dies_with_us=host.config.embedded or start.prepared
            )
            arguments = command_line(host.config, start.launch, descriptors, machine.place.port)
            inherited = [*descriptors.all(), *([] if incoming is None else [incoming])]
            command = [*prefix, "--", host.config.binary, *arguments]
            if machine.place.group is not None:
                command = machine.place.group.entering(command)
            machine.attach(lambda on_exit: Process.spawn(command, inherited, on_exit))
        record(machine)
    except BaseException:
        await machine.abandon()
        host.forget(machine)
        raise
    return machine


def record(machine: QemuMachine) -> None:
    """Write down what a later process must know to adopt the machine, or to end it."""
    ticks = start_ticks(machine.process.pid)
    if ticks is None:
        return
    write_record(
        machine.place.directory,
        Record(
            spec=machine.spec,
            pid=machine.process.pid,
            ticks=ticks,
            port=machine.place.port,
            uid=machine.place.uid,
            prepared=machine.prepared,
            ready=machine.ready,
            phases=dict(machine.phases),
        ),
    )


def _open_all(host: QemuHost, machine: QemuMachine, start: Start, ours: contextlib.ExitStack) -> Descriptors:
    """Open everything that QEMU inherits; `ours` closes our copies."""

    def opened(path: Path, flags: int = os.O_RDONLY) -> int:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        ours.callback(os.close, descriptor)
        return descriptor

    def listening(name: str) -> int:
        return ours.enter_context(sockets.listen(machine.place.directory, name)).fileno()

    memory = None
    if start.memory is not None or start.launch.share_memory:
        path = start.memory or _new_memory(machine)
        # QEMU 7.2 wants to open even memory that it only copies from for writing.
        memory = opened(path, os.O_RDWR)
        if machine.place.uid is not None:
            # The directory stays closed to that group: only this descriptor leads there.
            os.fchown(memory, -1, host.config.uid_base)
            os.fchmod(memory, 0o660)
    return Descriptors(
        kernel=opened(host.config.kernel.kernel),
        initrd=opened(host.config.kernel.initrd),
        root=opened(start.launch.spec.runtime.root),
        code=opened(start.launch.spec.code),
        monitor=listening(sockets.MONITOR),
        control=listening(sockets.CONTROL),
        console=listening(sockets.CONSOLE),
        memory=memory,
    )


def _new_memory(machine: QemuMachine) -> Path:
    """An empty, private file of the guest's memory size."""
    path = machine.place.directory / MEMORY
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, machine.spec.memory_mib * 1024 * 1024)
    finally:
        os.close(descriptor)
    return path
