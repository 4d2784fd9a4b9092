"""A QEMU process can do nothing but run its guest."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.vmm_contract import within

from aether.ports.vmm import MachineSpec, ignore_log
from aether.vmm.qemu import QemuConfig, QemuVmm
from aether.vmm.qemu.machine import QemuMachine

pytestmark = pytest.mark.vm

SECCOMP_FILTER = "2"


def status_of(machine: object) -> dict[str, str]:
    assert isinstance(machine, QemuMachine)
    lines = Path(f"/proc/{machine.process.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def test_qemu_runs_filtered_and_can_gain_nothing(vmm: QemuVmm, spec: MachineSpec) -> None:
    machine = await vmm.boot(spec, within(60), ignore_log)
    status = status_of(machine)
    assert status["Seccomp"] == SECCOMP_FILTER
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert isinstance(machine, QemuMachine)
    limits = Path(f"/proc/{machine.process.pid}/limits").read_text()
    assert "Max core file size        0                    0" in limits
    for entry in Path(f"/proc/{machine.process.pid}/fd").iterdir():
        target = str(entry.readlink())
        if target.startswith("/") and not target.startswith("/dev/"):
            flags = Path(f"/proc/{machine.process.pid}/fdinfo/{entry.name}").read_text()
            assert int(flags.split("flags:")[1].split()[0], 8) & os.O_ACCMODE == os.O_RDONLY, target


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give root up")
async def test_qemu_gives_root_up_and_machines_are_users_of_their_own(
    vmm: QemuVmm, spec: MachineSpec, config: QemuConfig, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    code = closed / "code.ext4"
    code.write_bytes(spec.code.read_bytes())
    code.chmod(0o600)
    statuses = []
    for instance_id in ("inst-a", "inst-b"):
        its = replace(spec, instance_id=instance_id, code=code)
        statuses.append(status_of(await vmm.boot(its, within(60), ignore_log)))
    for status in statuses:
        assert len(set(status["Uid"].split())) == len(set(status["Gid"].split())) == 1
        assert int(status["Uid"].split()[0]) >= config.uid_base
        assert int(status["Gid"].split()[0]) == config.uid_base
        assert status["Groups"] == ""
        assert int(status["CapBnd"], 16) == 0
    assert statuses[0]["Uid"] != statuses[1]["Uid"]
