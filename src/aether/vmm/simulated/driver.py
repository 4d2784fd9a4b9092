"""The Vmm whose machines are servers in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from aether.domain.deadline import Deadline
from aether.ports.vmm import (
    BootFailed,
    End,
    EndReason,
    Machine,
    MachineSpec,
    OnLog,
    Snapshot,
    SnapshotInvalid,
)
from aether.vmm.console import Consoles
from aether.vmm.simulated.behaviour import Behaviour
from aether.vmm.simulated.machine import SimulatedMachine
from aether.vmm.snapshot_files import load_snapshot, new_directory, snapshot_key, write_manifest


class SimulatedHost:
    """What outlives a driver: its machines. Two drivers with one host are a worker and its next run."""

    def __init__(self) -> None:
        self.machines: dict[str, SimulatedMachine] = {}
        self.consoles = Consoles()


class SimulatedVmm:
    """Implements `aether.ports.vmm.Vmm`.

    `behaviour` is one for all, or a function of the spec. Not `embedded`: `close` leaves machines
    on the host for a later `adopt`.
    """

    name = "simulated"
    accel = "none"
    limits = "none"
    overhead_mib = 0

    def __init__(
        self,
        behaviour: Behaviour | Callable[[MachineSpec], Behaviour] | None = None,
        *,
        host: SimulatedHost | None = None,
        embedded: bool = True,
    ) -> None:
        self._behaviour = behaviour or Behaviour()
        self._host = host or SimulatedHost()
        self._embedded = embedded

    def resident(self) -> Mapping[str, int]:
        """Nothing: they are parts of this process."""
        return {}

    async def boot(self, spec: MachineSpec, deadline: Deadline, on_log: OnLog) -> Machine:
        return await self._start(spec, deadline, on_log, phase="boot", prepared=False)

    async def prepare(self, spec: MachineSpec, deadline: Deadline, on_log: OnLog) -> Machine:
        return await self._start(spec, deadline, on_log, phase="boot", prepared=True)

    async def snapshot(self, machine: Machine, directory: Path) -> Snapshot:
        ours = self._ours(machine)
        if not ours.prepared:
            raise ValueError(f"{ours.spec.instance_id} was not made by prepare")
        if self._host.machines.get(ours.spec.instance_id) is not ours:
            raise ValueError(f"{ours.spec.instance_id} has ended")
        try:
            snapshot = await asyncio.to_thread(self._write, ours.spec, directory)
        finally:
            await self._end(ours, 0.0, "snapshot taken")
        return snapshot

    async def restore(
        self, snapshot: Snapshot, instance_id: str, deadline: Deadline, on_log: OnLog
    ) -> Machine:
        known = await self.load(snapshot.directory)
        if known.key != await asyncio.to_thread(self._key, known.spec):
            raise SnapshotInvalid(f"{snapshot.directory} was made by something else")
        spec = replace(known.spec, instance_id=instance_id)
        return await self._start(spec, deadline, on_log, phase="restore", prepared=False)

    async def load(self, directory: Path) -> Snapshot:
        return await asyncio.to_thread(load_snapshot, directory)

    async def pause(self, machine: Machine) -> None:
        self._ours(machine).pause()

    async def resume(self, machine: Machine) -> None:
        self._ours(machine).resume()

    async def ping(self, machine: Machine) -> bool:
        return await self._ours(machine).ping()

    def starved_s(self, machine: Machine) -> float:
        return self._ours(machine).starved_s

    async def stop(self, machine: Machine, grace_s: float = 0.0) -> None:
        await self._end(self._ours(machine), grace_s, "")

    async def adopt(self, instance_id: str, on_log: OnLog) -> Machine:
        self._forget_ended()
        machine = self._host.machines[instance_id]
        machine.on_log = on_log
        return machine

    async def list(self) -> list[str]:
        self._forget_ended()
        return sorted(self._host.machines)

    def console(self, instance_id: str) -> str:
        return self._host.consoles.text(instance_id)

    async def close(self) -> None:
        if self._embedded:
            for machine in list(self._host.machines.values()):
                await self._end(machine, 0.0, "driver closed")

    async def _start(
        self, spec: MachineSpec, deadline: Deadline, on_log: OnLog, *, phase: str, prepared: bool
    ) -> Machine:
        there = self._host.machines.get(spec.instance_id)
        if there is not None and not there.has_ended:
            raise ValueError(f"{spec.instance_id} runs already")
        behaviour = self._behaviour if isinstance(self._behaviour, Behaviour) else self._behaviour(spec)
        console = self._host.consoles.open(spec.instance_id)
        machine = SimulatedMachine(spec, behaviour, console, on_log, prepared=prepared)
        self._host.machines[spec.instance_id] = machine
        begun_s = time.monotonic()
        try:
            async with asyncio.timeout(deadline.remaining_s(begun_s)):
                await _come_up(machine, behaviour, phase)
        except TimeoutError:
            within_s = time.monotonic() - begun_s
            await self._end(machine, 0.0, "not ready in time")
            raise BootFailed(
                f"nothing listened on port {spec.port} within {within_s:.1f} s", console_tail=console.tail()
            ) from None
        except BaseException:
            await self._end(machine, 0.0, "start failed")
            raise
        return machine

    async def _end(self, machine: SimulatedMachine, grace_s: float, detail: str) -> None:
        await machine.stop(grace_s, detail)
        self._forget(machine)

    def _forget(self, machine: SimulatedMachine) -> None:
        if self._host.machines.get(machine.spec.instance_id) is machine:
            del self._host.machines[machine.spec.instance_id]
            self._host.consoles.retire(machine.spec.instance_id)

    def _forget_ended(self) -> None:
        for machine in list(self._host.machines.values()):
            if machine.has_ended:
                self._forget(machine)

    def _key(self, spec: MachineSpec) -> str:
        return snapshot_key(spec, vmm="simulated 1", host=self.accel, kernel_digest="")

    def _write(self, spec: MachineSpec, directory: Path) -> Snapshot:
        key = self._key(spec)
        with new_directory(directory) as temporary:
            write_manifest(temporary, key, spec, hashed=[], sized=[])
        return Snapshot(directory, key, spec)

    def _ours(self, machine: Machine) -> SimulatedMachine:
        if not isinstance(machine, SimulatedMachine):
            raise TypeError(f"{machine!r} is no machine of this driver")
        return machine


async def _come_up(machine: SimulatedMachine, behaviour: Behaviour, phase: str) -> None:
    """Take the time it takes, then listen; or fail as told."""
    begun_s = time.monotonic()
    await asyncio.sleep(behaviour.restore_s if phase == "restore" else behaviour.boot_s)
    up_s = time.monotonic()
    if behaviour.exits_before_ready:
        machine.log("stderr", "simulated failure at start")
        machine.end(End(EndReason.EXITED, "exit code 1"))
        raise BootFailed(
            "the function ended before it was ready: exit code 1",
            console_tail=machine.console_tail(),
        )
    if behaviour.never_ready:
        await asyncio.Event().wait()
    if phase == "boot":
        await asyncio.sleep(behaviour.ready_s)
    await machine.listen()
    now_s = time.monotonic()
    machine.phases = {phase: (up_s - begun_s) * 1000, "ready": (now_s - up_s) * 1000}
