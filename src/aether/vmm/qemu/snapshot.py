"""Freezing a prepared machine into a directory, and what a snapshot's key is made of."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path

from aether.ports.vmm import MachineSpec, Snapshot
from aether.vmm.connection import Connection
from aether.vmm.qemu.config import QemuConfig
from aether.vmm.qemu.machine import QemuMachine
from aether.vmm.qemu.monitor import MonitorError, monitor_session
from aether.vmm.qemu.spawn import MEMORY
from aether.vmm.snapshot_files import new_directory, snapshot_key, write_manifest

STATE = "state"
STATE_LIMIT_BYTES = 64 * 1024 * 1024
"""Of the devices' state; measured: 67 KB."""
FREEZE_LIMIT_S = 30.0


class Keys:
    """Snapshot keys of this host; asks QEMU for its version once."""

    def __init__(self, config: QemuConfig) -> None:
        self._config = config
        self._version: str | None = None

    async def of(self, spec: MachineSpec) -> str:
        """Raises OSError when QEMU or the code image is missing."""
        return await asyncio.to_thread(self._of, spec)

    def _of(self, spec: MachineSpec) -> str:
        if self._version is None:
            command = [self._config.binary, "--version"]
            self._version = subprocess.check_output(command, text=True, timeout=10).splitlines()[0]
        host = f"{self._config.accel} {_cpu_model()} {self._config.tsc_khz}"
        return snapshot_key(spec, vmm=self._version, host=host, kernel_digest=self._config.kernel.digest)


async def freeze(machine: QemuMachine, directory: Path, key: str) -> Snapshot:
    """Write the snapshot and end the machine, whatever comes of it.

    The machine ends because its memory is the snapshot's: it must not run on and change it.
    Raises MonitorError when QEMU fails, FileExistsError when the directory is there.
    """
    try:
        with new_directory(directory) as temporary:
            async with asyncio.timeout(FREEZE_LIMIT_S):
                await machine.unless_ended(_save(machine, temporary / STATE))
            if machine.end is not None:
                raise MonitorError(f"the machine ended: {machine.end.detail}", component="worker")
            memory = machine.place.directory / MEMORY
            await asyncio.to_thread(shutil.move, memory, temporary / MEMORY)
            machine.kill("snapshot taken")
            await machine.ended()
            await asyncio.to_thread(_seal, temporary, key, machine.spec)
    except TimeoutError:
        raise MonitorError(f"no snapshot within {FREEZE_LIMIT_S:.0f} s", component="worker") from None
    finally:
        machine.kill("snapshot failed")
        await machine.ended()
    return Snapshot(directory, key, machine.spec)


async def _save(machine: QemuMachine, path: Path) -> None:
    """Let QEMU stop the virtual CPUs and send the devices' state, and write that down."""
    state = bytearray()
    whole = asyncio.Event()

    def keep(data: bytes) -> None:
        state.extend(data)
        if len(state) > STATE_LIMIT_BYTES:
            stream.abort()

    ours, theirs = socket.socketpair()
    with theirs:
        stream = await Connection.over(ours, keep, whole.set)
        try:
            async with monitor_session(machine.place.directory) as monitor:
                await monitor.give_descriptor(theirs.fileno(), STATE)
                theirs.close()
                await monitor.migration("migrate", f"fd:{STATE}")
                await monitor.migrated()
            await whole.wait()
            if len(state) > STATE_LIMIT_BYTES:
                raise MonitorError(f"a state of more than {STATE_LIMIT_BYTES} bytes", component="worker")
        finally:
            await stream.close()
    await asyncio.to_thread(_write_private, path, bytes(state))


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _seal(directory: Path, key: str, spec: MachineSpec) -> None:
    """Memory on the disk before the manifest says it is there."""
    descriptor = os.open(directory / MEMORY, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    write_manifest(directory, key, spec, hashed=[STATE], sized=[MEMORY])


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "CPU part")):
            return line.partition(":")[2].strip()
    return "unknown"
