"""Clones of a snapshot are different machines: identity, clock, entropy; and only what fits is restored."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.vmm_contract import call, within

from aether.ports.vmm import Machine, MachineSpec, Snapshot, SnapshotInvalid, ignore_log
from aether.vmm.qemu import QemuConfig, QemuVmm
from aether.vmm.snapshot_files import MANIFEST

pytestmark = pytest.mark.vm

METADATA = (
    'return await (await fetch("http://169.254.169.254/", {headers: {accept: "application/json"}})).json()'
)
KERNEL_RANDOM = """
const fd = require("fs").openSync("/dev/urandom"); const bytes = Buffer.alloc(32);
require("fs").readSync(fd, bytes); return bytes.toString("hex")
"""


async def evaluate(machine: Machine, code: str) -> object:
    answer = await call(machine, "/eval", code, timeout_s=60)
    assert "error" not in answer, answer["error"]
    return answer.get("result")


@pytest.fixture
async def snapshot(vmm: QemuVmm, spec: MachineSpec, tmp_path: Path) -> Snapshot:
    prepared = await vmm.prepare(spec, within(60), ignore_log)
    return await vmm.snapshot(prepared, tmp_path / "snapshots" / "one")


async def test_clones_differ_in_identity_and_kernel_entropy_and_have_the_right_time(
    vmm: QemuVmm, snapshot: Snapshot
) -> None:
    clones = [await vmm.restore(snapshot, f"inst-{n}", within(60), ignore_log) for n in "ab"]
    metadata = [await evaluate(clone, METADATA) for clone in clones]
    assert [document["instance_id"] for document in metadata] == ["inst-a", "inst-b"]  # type: ignore[index]
    assert len({document["token"] for document in metadata}) == 2  # type: ignore[index]
    assert all(document["env"] == {"A": "b"} for document in metadata)  # type: ignore[index]
    assert len({str(await evaluate(clone, KERNEL_RANDOM)) for clone in clones}) == 2
    for clone in clones:
        asked_ms = time.time() * 1000
        told_ms = await evaluate(clone, "return Date.now()")
        answered_ms = time.time() * 1000
        # The guest's clock was set some milliseconds before the agent got to it.
        assert asked_ms - 300 < float(str(told_ms)) < answered_ms + 50


async def test_a_damaged_or_foreign_snapshot_is_refused_and_leaves_nothing(
    vmm: QemuVmm, config: QemuConfig, snapshot: Snapshot, tmp_path: Path
) -> None:
    assert stat.S_IMODE(snapshot.directory.stat().st_mode) == 0o700
    assert not any(stat.S_IMODE(path.stat().st_mode) & 0o007 for path in snapshot.directory.iterdir())
    other = replace(snapshot, spec=replace(snapshot.spec, memory_mib=256))
    with pytest.raises(SnapshotInvalid, match="something else"):
        await vmm.restore(other, "inst-a", within(30), ignore_log)

    # A state that is whole by its manifest, and that QEMU cannot load.
    damaged = tmp_path / "damaged"
    shutil.copytree(snapshot.directory, damaged)
    manifest = (damaged / MANIFEST).read_text()
    state = damaged / "state"
    digest = manifest.split('"sha256": "')[1].split('"')[0]
    state.write_bytes(b"\0" * state.stat().st_size)
    with pytest.raises(SnapshotInvalid, match="sha256"):
        await vmm.restore(replace(snapshot, directory=damaged), "inst-a", within(30), ignore_log)
    (damaged / MANIFEST).write_text(manifest.replace(digest, hashlib.sha256(state.read_bytes()).hexdigest()))
    with pytest.raises(SnapshotInvalid, match="could not load"):
        await vmm.restore(replace(snapshot, directory=damaged), "inst-a", within(30), ignore_log)
    assert await vmm.list() == []
    assert {path.name for path in config.run_dir.iterdir()} <= {".lock", "cgroups.json"}

    clone = await vmm.restore(snapshot, "inst-a", within(30), ignore_log)
    assert await evaluate(clone, "return 1") == 1


async def test_a_snapshot_is_taken_once_and_never_over_another(
    vmm: QemuVmm, spec: MachineSpec, snapshot: Snapshot
) -> None:
    prepared = await vmm.prepare(spec, within(60), ignore_log)
    with pytest.raises(FileExistsError):
        await vmm.snapshot(prepared, snapshot.directory)
    # The machine is gone all the same: nobody else could make use of it.
    with pytest.raises(ValueError, match="has ended"):
        await vmm.snapshot(prepared, snapshot.directory.with_name("two"))
    assert await vmm.load(snapshot.directory) == snapshot


async def test_a_cancelled_restore_leaves_nothing(vmm: QemuVmm, snapshot: Snapshot) -> None:
    async with asyncio.TaskGroup() as group:
        restoring = group.create_task(vmm.restore(snapshot, "inst-a", within(30), ignore_log))
        while not await vmm.list():
            await asyncio.sleep(0)
        restoring.cancel()
    assert restoring.cancelled()
    assert await vmm.list() == []
