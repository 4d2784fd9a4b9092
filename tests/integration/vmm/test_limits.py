"""Machines in their control groups: bounds hold from the first instruction to the end, and go then."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.contract.vmm_contract import call, within
from tests.integration.vmm.conftest import groups_of_ours
from tests.integration.vmm.test_ends import boot_elsewhere, wait_for_end

from aether.ports.vmm import EndReason, MachineSpec, ignore_log
from aether.vmm.cgroups import Bounds, Place
from aether.vmm.qemu import QemuConfig, QemuVmm, footprint, host
from aether.vmm.qemu.machine import QemuMachine

pytestmark = pytest.mark.vm

MIB = 1 << 20


def group_of(machine: object) -> dict[str, Path]:
    """The directories of its group, and the proof that its process is in each."""
    assert isinstance(machine, QemuMachine)
    assert machine.place.group is not None
    directories = machine.place.group.directories
    for directory in directories.values():
        assert (directory / "cgroup.procs").read_text().split() == [str(machine.process.pid)]
    return directories


def memory_limit(directory: Path) -> int:
    for file in ("memory.limit_in_bytes", "memory.max"):
        if (directory / file).exists():
            return int((directory / file).read_text())
    raise AssertionError(f"no limit in {directory}")


async def test_a_machine_runs_within_its_bounds(vmm: QemuVmm, spec: MachineSpec, place: Place) -> None:
    machine = await vmm.boot(replace(spec, vcpu=2), within(60), ignore_log)
    directories = group_of(machine)
    assert directories.keys() == place.parents.keys()
    assert memory_limit(directories["memory"]) == (128 + vmm.overhead_mib + footprint.SLACK_MIB) * MIB
    assert (directories["pids"] / "pids.max").read_text().strip() == str(2 + footprint.OWN_THREADS)
    await vmm.stop(machine)
    assert not any(directory.exists() for directory in directories.values())


async def test_a_restored_machine_has_bounds_as_well(
    vmm: QemuVmm, spec: MachineSpec, place: Place, tmp_path: Path
) -> None:
    prepared = await vmm.prepare(spec, within(60), ignore_log)
    group_of(prepared)
    snapshot = await vmm.snapshot(prepared, tmp_path / "snapshot")
    clone = await vmm.restore(snapshot, "inst-clone", within(60), ignore_log)
    assert (await call(clone))["path"] == "/"
    assert group_of(clone)["pids"].name == "inst-clone"


async def test_a_machine_that_outgrows_its_bounds_is_ended_by_the_host_and_that_is_told(
    vmm: QemuVmm, spec: MachineSpec, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for a QEMU that leaks: held to less than it needs for all of its guest's memory."""
    less = Bounds(memory_bytes=280 * MIB, cpus=1.5, share=1, pids=97)
    monkeypatch.setattr(host, "bounds", lambda _config, _spec: less)
    machine = await vmm.boot(replace(spec, memory_mib=512), within(60), ignore_log)
    program = "const all = []; for (let n = 0; n < 300; n++) all.push(Buffer.alloc(1 << 20, 1)); return 1"
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(refused(machine, program))
        end = await machine.ended()
        await asking
    assert (end.reason, end.detail) == (EndReason.KILLED, "by the host: over its memory limit")


async def refused(machine: object, program: str) -> None:
    assert isinstance(machine, QemuMachine)
    with pytest.raises(httpx.HTTPError):
        await call(machine, "/eval", program, timeout_s=60)


@pytest.mark.usefixtures("nothing_left")
async def test_an_adopted_machine_keeps_its_group_and_a_killed_platforms_groups_are_swept(
    config: QemuConfig, spec: MachineSpec, place: Place
) -> None:
    pid = boot_elsewhere(replace(config, embedded=False), spec, place)
    after = QemuVmm(replace(config, embedded=False), place)
    assert await after.sweep() == []
    machine = await after.adopt(spec.instance_id, ignore_log)
    directories = group_of(machine)
    await after.close()
    assert all(directory.exists() for directory in directories.values())
    embedded = QemuVmm(config, place)
    assert await embedded.sweep() == [spec.instance_id]
    wait_for_end(pid)
    assert not any(directory.exists() for directory in directories.values())
    await embedded.close()


@pytest.mark.usefixtures("nothing_left")
async def test_what_died_with_its_platform_leaves_groups_only_until_the_next_start(
    config: QemuConfig, spec: MachineSpec, place: Place
) -> None:
    before = groups_of_ours(place)
    wait_for_end(boot_elsewhere(config, spec, place))
    assert groups_of_ours(place) - before
    after = QemuVmm(config, place)
    assert await after.sweep() == [spec.instance_id]
    await after.close()
