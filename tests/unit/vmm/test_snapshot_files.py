"""A snapshot's directory is whole or not there, and its key tells what made it."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from aether.ports.vmm import MachineSpec, Runtime, SnapshotInvalid
from aether.vmm.snapshot_files import MANIFEST, load_snapshot, new_directory, snapshot_key, write_manifest
from aether.vmm.spec_json import spec_from_json, spec_to_json


@pytest.fixture
def spec(tmp_path: Path) -> MachineSpec:
    code = tmp_path / "code.ext4"
    code.write_bytes(b"code")
    runtime = Runtime("node", tmp_path / "root", ("/usr/bin/node", "x"), "handler.js", digest="r1")
    return MachineSpec("inst-1", "fn-1", runtime, code, "handler.js", 3000, 1, 128, {"A": "b"})


@pytest.fixture
def made(tmp_path: Path, spec: MachineSpec) -> Path:
    directory = tmp_path / "snapshots" / "one"
    with new_directory(directory) as temporary:
        (temporary / "state").write_bytes(b"state")
        (temporary / "memory").write_bytes(b"memory")
        write_manifest(temporary, "key", spec, hashed=["state"], sized=["memory"])
    return directory


def key(spec: MachineSpec, vmm: str = "v", host: str = "h", kernel_digest: str = "k") -> str:
    return snapshot_key(spec, vmm=vmm, host=host, kernel_digest=kernel_digest)


def test_a_spec_comes_back_from_json(spec: MachineSpec) -> None:
    assert spec_from_json(json.loads(json.dumps(spec_to_json(spec)))) == spec


def test_a_snapshot_comes_back_and_is_private(made: Path, spec: MachineSpec) -> None:
    snapshot = load_snapshot(made)
    assert (snapshot.directory, snapshot.key, snapshot.spec) == (made, "key", spec)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert stat.S_IMODE((made / MANIFEST).stat().st_mode) == 0o600


def test_a_failure_while_making_leaves_nothing(tmp_path: Path) -> None:
    def fill(directory: Path) -> None:
        (directory / "state").write_bytes(b"half")
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"), new_directory(tmp_path / "s" / "one") as temporary:
        fill(temporary)
    assert list((tmp_path / "s").iterdir()) == []


def test_a_snapshot_is_never_overwritten(made: Path) -> None:
    with pytest.raises(FileExistsError), new_directory(made):
        pass


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state", b"stat"),
        ("state", b"stale"),
        ("memory", b"memor"),
        (MANIFEST, b""),
        (MANIFEST, b"[]"),
        (MANIFEST, b'{"version": 2}'),
        (MANIFEST, b'{"version": 1, "files": {}, "key": "k", "spec": {}}'),
        (MANIFEST, b'{"version": 1, "files": [], "key": "k", "spec": 1}'),
    ],
)
def test_damage_is_found(made: Path, name: str, content: bytes) -> None:
    (made / name).write_bytes(content)
    with pytest.raises(SnapshotInvalid):
        load_snapshot(made)


@pytest.mark.parametrize("name", ["state", "memory", MANIFEST])
def test_missing_files_are_found(made: Path, name: str) -> None:
    (made / name).unlink()
    with pytest.raises(SnapshotInvalid):
        load_snapshot(made)


def test_the_key_covers_all_that_makes_a_snapshot_but_the_instance(tmp_path: Path, spec: MachineSpec) -> None:
    other_code = tmp_path / "other.ext4"
    other_code.write_bytes(b"other")
    changes: list[dict[str, object]] = [
        {"code": other_code},
        {"vcpu": 2},
        {"memory_mib": 256},
        {"port": 3001},
        {"env": {"A": "c"}},
        {"entrypoint": "other.js"},
        {"function_id": "fn-2"},
        {"runtime": replace(spec.runtime, digest="r2")},
        {"runtime": replace(spec.runtime, command=("/init",))},
    ]
    keys = [key(replace(spec, **change)) for change in changes]  # type: ignore[arg-type]
    keys += [key(spec, vmm="w"), key(spec, host="i"), key(spec, kernel_digest="l"), key(spec)]
    assert len(set(keys)) == len(keys)
    assert key(replace(spec, instance_id="inst-2")) == key(spec)


def test_code_named_by_its_digest_is_not_read(spec: MachineSpec, tmp_path: Path) -> None:
    absent = tmp_path / f"{'0' * 64}.ext4"
    assert key(replace(spec, code=absent)) != key(spec)
