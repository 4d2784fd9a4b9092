"""What the driver has on its host: the run directory, users, ports, machines and their consoles."""

from __future__ import annotations

import os

import structlog

from aether.ports.vmm import MachineSpec, OnLog
from aether.vmm.cgroups import Group, Groups, NoPlace
from aether.vmm.cgroups import Place as GroupsPlace
from aether.vmm.console import Consoles
from aether.vmm.qemu.config import QemuConfig
from aether.vmm.qemu.footprint import bounds
from aether.vmm.qemu.machine import Place, QemuMachine
from aether.vmm.qemu.records import Record, RunDirectory
from aether.vmm.qemu.slots import Slots, port_is_free

log = structlog.get_logger()


class QemuHost:
    """Machines enter by `admit` or `readmit`, and leave by themselves when they end."""

    def __init__(self, config: QemuConfig, groups: GroupsPlace | NoPlace) -> None:
        self.config = config
        self.run = RunDirectory(config.run_dir)
        self.machines: dict[str, QemuMachine] = {}
        self.consoles = Consoles()
        self._ports = Slots(config.first_port, config.last_port, "ports for machines", port_is_free)
        self._uids = Slots(config.uid_base, config.uid_base + config.uid_count - 1, "users for machines")
        self._gives_up_root = os.geteuid() == 0
        self._groups_place = groups
        self.groups: Groups | None = None

    def take(self) -> None:
        """The run directory and a place for control groups, once. Raises RuntimeError, OSError."""
        self.run.take()
        if self.groups is None and isinstance(self._groups_place, GroupsPlace):
            try:
                self.groups = Groups(self._groups_place, self.run.path)
            except OSError as error:
                self._groups_place = NoPlace(str(error))

    def leave(self) -> None:
        """Idempotent."""
        if self.groups is not None:
            self.groups.close()
            self.groups = None
        self.run.leave()

    def sweep(self, keep: set[str]) -> list[str]:
        """End and remove every machine but those of `keep`; ids of the removed ones. Blocks."""
        removed = set(self.run.sweep(keep))
        if self.groups is not None:
            removed |= set(self.groups.sweep(keep))
        return sorted(removed)

    @property
    def limits(self) -> str:
        """How machines are held to their limits, for users; `none` where nothing holds them."""
        return "none" if self.groups is None else self.groups.kind

    @property
    def why_no_limits(self) -> str:
        return self._groups_place.why if isinstance(self._groups_place, NoPlace) else ""

    def admit(self, spec: MachineSpec, on_log: OnLog, *, prepared: bool) -> QemuMachine:
        """Room for a new machine. Raises NoCapacity, OSError."""
        self.take()
        port = self._ports.take()
        uid = None
        try:
            uid = self._uids.take() if self._gives_up_root else None
            directory = self.run.make(spec.instance_id)
            group = self._new_group(spec)
        except BaseException:
            self._release(port, uid)
            self.run.remove(spec.instance_id)
            raise
        return self._enter(spec, Place(directory, port, uid, group), on_log, prepared=prepared)

    def _new_group(self, spec: MachineSpec) -> Group | None:
        if self.groups is None:
            return None
        return self.groups.make(spec.instance_id, bounds(self.config, spec))

    def readmit(self, record: Record, on_log: OnLog) -> QemuMachine:
        """A machine that an earlier process started."""
        self.take()
        self._ports.hold(record.port)
        if record.uid is not None:
            self._uids.hold(record.uid)
        group = self.groups.find(record.spec.instance_id, record.pid) if self.groups is not None else None
        place = Place(self.run.path / record.spec.instance_id, record.port, record.uid, group)
        return self._enter(record.spec, place, on_log, prepared=False)

    def forget(self, machine: QemuMachine) -> None:
        """The machine has ended, or never began: nothing of it stays. Idempotent."""
        instance_id = machine.spec.instance_id
        if self.machines.get(instance_id) is machine:
            del self.machines[instance_id]
            self.consoles.retire(instance_id)
            if machine.place.group is not None and not machine.place.group.remove():
                log.warning("control group not removed: something runs in it still", instance=instance_id)
            self.run.remove(instance_id)
            self._release(machine.place.port, machine.place.uid)

    def let_go(self, machine: QemuMachine) -> None:
        """The machine runs on without us, and keeps what it has."""
        self.machines.pop(machine.spec.instance_id, None)
        self.consoles.retire(machine.spec.instance_id)

    def _enter(self, spec: MachineSpec, place: Place, on_log: OnLog, *, prepared: bool) -> QemuMachine:
        machine = QemuMachine(
            spec,
            place,
            console=self.consoles.open(spec.instance_id),
            on_log=on_log,
            on_end=self.forget,
            prepared=prepared,
        )
        self.machines[spec.instance_id] = machine
        return machine

    def _release(self, port: int, uid: int | None) -> None:
        self._ports.give_back(port)
        if uid is not None:
            self._uids.give_back(uid)
