"""A snapshot on disk: a private directory with `manifest.json` and the files that it lists.

It is made under another name and renamed when it is whole, so a directory with a manifest is a
whole snapshot. Files are 0600, the directory 0700: guest memory holds the function's secrets.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aether.ports.vmm import MachineSpec, Snapshot, SnapshotInvalid
from aether.vmm.spec_json import spec_from_json, spec_to_json

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
_SHA256_NAME = re.compile(r"[0-9a-f]{64}")


def code_digest(code: Path) -> str:
    """Of a code image: its name where that is its sha256 (as in code caches), else of its bytes."""
    if _SHA256_NAME.fullmatch(code.stem):
        return code.stem
    return sha256_of(code)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def snapshot_key(spec: MachineSpec, *, vmm: str, host: str, kernel_digest: str) -> str:
    """Everything that made the snapshot, hashed. `host` is CPU model and accelerator.

    Reads the code image unless its name says its digest: not for the event loop.
    """
    facts = {
        "vmm": vmm,
        "host": host,
        "kernel": kernel_digest,
        "runtime": [spec.runtime.name, spec.runtime.digest or str(spec.runtime.root)],
        "command": [*spec.runtime.command, spec.entrypoint],
        "user": [spec.runtime.user, spec.runtime.group],
        "code": code_digest(spec.code),
        "function": spec.function_id,
        "shape": [spec.vcpu, spec.memory_mib, spec.port],
        "env": dict(spec.env),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def new_directory(directory: Path) -> Iterator[Path]:
    """A private directory beside `directory` that takes its name at the end, or goes on an error.

    Raises FileExistsError when there is one already.
    """
    if directory.exists():
        raise FileExistsError(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        yield temporary
        temporary.rename(directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_manifest(
    directory: Path, key: str, spec: MachineSpec, *, hashed: list[str], sized: list[str]
) -> None:
    """List files of the directory: `hashed` by size and sha256, `sized` by size only."""
    files: dict[str, dict[str, Any]] = {
        name: {"size_bytes": (directory / name).stat().st_size} for name in [*hashed, *sized]
    }
    for name in hashed:
        files[name]["sha256"] = sha256_of(directory / name)
    document = {"version": MANIFEST_VERSION, "key": key, "spec": spec_to_json(spec), "files": files}
    descriptor = os.open(directory / MANIFEST, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())


def load_snapshot(directory: Path) -> Snapshot:
    """Read and check a snapshot. Raises SnapshotInvalid."""
    try:
        document = json.loads((directory / MANIFEST).read_bytes())
        if document["version"] != MANIFEST_VERSION:
            raise SnapshotInvalid(f"{directory} has manifest version {document['version']}")
        for name, facts in document["files"].items():
            _check_file(directory / name, facts)
        return Snapshot(directory, str(document["key"]), spec_from_json(document["spec"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotInvalid(f"{directory} holds no usable snapshot: {error!r}") from error


def _check_file(path: Path, facts: dict[str, Any]) -> None:
    size_bytes = path.stat().st_size
    if size_bytes != facts["size_bytes"]:
        raise SnapshotInvalid(f"{path} has {size_bytes} bytes instead of {facts['size_bytes']}")
    if "sha256" in facts and sha256_of(path) != facts["sha256"]:
        raise SnapshotInvalid(f"{path} does not match its sha256")
