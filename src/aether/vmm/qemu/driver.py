"""The Vmm of QEMU microVMs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aether.domain.deadline import Deadline
from aether.ports.vmm import Machine, MachineSpec, MachineState, OnLog, Snapshot, SnapshotInvalid
from aether.vmm import messages
from aether.vmm.cgroups import NoPlace, Place
from aether.vmm.messages import Pong
from aether.vmm.qemu.adopt import adopt
from aether.vmm.qemu.boot import boot
from aether.vmm.qemu.command import Launch
from aether.vmm.qemu.config import QemuConfig
from aether.vmm.qemu.footprint import overhead_mib
from aether.vmm.qemu.host import QemuHost
from aether.vmm.qemu.machine import QemuMachine
from aether.vmm.qemu.monitor import MonitorError
from aether.vmm.qemu.pause import switch
from aether.vmm.qemu.restore import restore
from aether.vmm.qemu.snapshot import STATE, Keys, freeze
from aether.vmm.qemu.spawn import MEMORY, Start
from aether.vmm.snapshot_files import load_snapshot
from aether.vmm.starvation import starved_s

NOT_LOOKED_FOR = NoPlace("the driver was given no place for them")


class QemuVmm:
    """Implements `aether.ports.vmm.Vmm`. Call `sweep` once before anything else."""

    name = "qemu"

    def __init__(self, config: QemuConfig, groups: Place | NoPlace = NOT_LOOKED_FOR) -> None:
        self._config = config
        self._host = QemuHost(config, groups)
        self._keys = Keys(config)
        self._claimed: set[str] = set()

    @property
    def accel(self) -> str:
        return self._config.accel

    @property
    def limits(self) -> str:
        return self._host.limits

    @property
    def why_no_limits(self) -> str:
        """Empty when there are."""
        return self._host.why_no_limits

    @property
    def overhead_mib(self) -> int:
        return overhead_mib(self._config)

    def resident(self) -> Mapping[str, int]:
        return {name: machine.resident_bytes() for name, machine in self._host.machines.items()}

    async def sweep(self) -> list[str]:
        """End and remove what a killed process left behind; ids of the machines that were.

        Ready machines stay, to be adopted, unless this driver is embedded. Raises RuntimeError
        when another process that runs has the run directory.
        """
        self._host.take()
        keep = set(self._host.machines)
        if not self._config.embedded:
            keep |= set(self._host.run.adoptable())
        return await asyncio.to_thread(self._host.sweep, keep)

    async def boot(self, spec: MachineSpec, deadline: Deadline, on_log: OnLog) -> Machine:
        with self._claim(spec.instance_id):
            return await boot(self._host, Start(Launch(spec, secrets.token_hex(16)), on_log), deadline)

    async def prepare(self, spec: MachineSpec, deadline: Deadline, on_log: OnLog) -> Machine:
        launch = Launch(spec, secrets.token_hex(16), share_memory=True)
        with self._claim(spec.instance_id):
            return await boot(self._host, Start(launch, on_log, prepared=True), deadline)

    async def snapshot(self, machine: Machine, directory: Path) -> Snapshot:
        ours = _ours(machine)
        if not ours.prepared:
            raise ValueError(f"{ours.spec.instance_id} was not made by prepare")
        if ours.end is not None:
            raise ValueError(f"{ours.spec.instance_id} has ended")
        async with ours.lock:
            try:
                key = await self._keys.of(ours.spec)
            except BaseException:
                await self.stop(ours)
                raise
            return await freeze(ours, directory, key)

    async def restore(
        self, snapshot: Snapshot, instance_id: str, deadline: Deadline, on_log: OnLog
    ) -> Machine:
        known = await self.load(snapshot.directory)
        try:
            fits = known.key == await self._keys.of(snapshot.spec)
            state = (snapshot.directory / STATE).read_bytes()
        except OSError as error:
            raise SnapshotInvalid(f"{snapshot.directory}: {error}") from error
        if not fits:
            raise SnapshotInvalid(f"{snapshot.directory} was made by something else")
        launch = Launch(replace(snapshot.spec, instance_id=instance_id), secrets.token_hex(16), incoming=True)
        with self._claim(instance_id):
            begin = Start(launch, on_log, memory=snapshot.directory / MEMORY)
            return await restore(self._host, begin, state, deadline)

    async def load(self, directory: Path) -> Snapshot:
        return await asyncio.to_thread(load_snapshot, directory)

    async def pause(self, machine: Machine) -> None:
        await switch(_ours(machine), "stop", MachineState.RUNNING, MachineState.PAUSED)

    async def resume(self, machine: Machine) -> None:
        await switch(_ours(machine), "cont", MachineState.PAUSED, MachineState.RUNNING)

    async def ping(self, machine: Machine) -> bool:
        ours = _ours(machine)
        ours.ping()
        return await ours.sign(Pong)

    def starved_s(self, machine: Machine) -> float:
        return starved_s(_ours(machine).process.pid)

    async def stop(self, machine: Machine, grace_s: float = 0.0) -> None:
        ours = _ours(machine)
        ours.stopping()
        try:
            if grace_s > 0:
                async with asyncio.timeout(grace_s):
                    await self.resume(ours)
                    ours.send(messages.terminate(grace_s))
                    await ours.ended()
        except (TimeoutError, MonitorError):
            pass  # the grace is over, or QEMU is: the end is the same
        finally:
            ours.kill()
        await ours.ended()

    async def adopt(self, instance_id: str, on_log: OnLog) -> Machine:
        record = self._host.run.adoptable().get(instance_id)
        if record is None or instance_id in self._host.machines:
            raise KeyError(instance_id)
        with self._claim(instance_id):
            return await adopt(self._host, record, on_log)

    async def list(self) -> list[str]:
        adoptable = () if self._config.embedded else self._host.run.adoptable()
        return sorted({*self._host.machines, *adoptable})

    def console(self, instance_id: str) -> str:
        return self._host.consoles.text(instance_id)

    async def close(self) -> None:
        machines = list(self._host.machines.values())
        ending = [m for m in machines if self._config.embedded or m.prepared or not m.ready]
        for machine in ending:
            machine.kill("driver closed")
        for machine in ending:
            await machine.ended()
        for machine in list(self._host.machines.values()):
            await machine.disconnect()
            self._host.let_go(machine)
        self._host.leave()

    @contextmanager
    def _claim(self, instance_id: str) -> Iterator[None]:
        """An id is started once at a time, over all attempts. Raises ValueError."""
        if instance_id in self._claimed or instance_id in self._host.machines:
            raise ValueError(f"{instance_id} runs already")
        self._claimed.add(instance_id)
        try:
            yield
        finally:
            self._claimed.discard(instance_id)


def _ours(machine: Machine) -> QemuMachine:
    if not isinstance(machine, QemuMachine):
        raise TypeError(f"{machine!r} is no machine of this driver")
    return machine
