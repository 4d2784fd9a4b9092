"""The run directory: one private directory per machine, with a record of its process.

By these records a later process adopts machines, or sweeps away what a killed one left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aether.ports.vmm import MachineSpec
from aether.vmm.qemu.process import kill_and_wait, start_ticks
from aether.vmm.spec_json import spec_from_json, spec_to_json

RECORD = "record.json"
LOCK = ".lock"
RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class Record:
    """A machine's process. `ready`: its function was seen ready, so it can be adopted."""

    spec: MachineSpec
    pid: int
    ticks: int
    port: int
    uid: int | None
    prepared: bool
    ready: bool = False
    phases: dict[str, float] | None = None

    def alive(self) -> bool:
        return start_ticks(self.pid) == self.ticks

    def adoptable(self) -> bool:
        return self.ready and not self.prepared and self.alive()


def write_record(directory: Path, record: Record) -> None:
    """Replace the directory's record, whole or not at all. It holds the environment: 0600."""
    document: dict[str, Any] = {"version": RECORD_VERSION, **asdict(record)}
    document["spec"] = spec_to_json(record.spec)
    temporary = directory / f"{RECORD}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
    temporary.rename(directory / RECORD)


def read_record(directory: Path) -> Record | None:
    """None when there is no record that can be read."""
    try:
        document = json.loads((directory / RECORD).read_bytes())
        if document.pop("version") != RECORD_VERSION:
            return None
        return replace(Record(**document), spec=spec_from_json(document["spec"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


class RunDirectory:
    """The driver's directory, taken by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def take(self) -> None:
        """Idempotent. Raises RuntimeError when another process that runs has it."""
        if self._lock is not None:
            return
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise RuntimeError(f"{self.path} is in use by another process") from None
        self._lock = lock

    def leave(self) -> None:
        """Idempotent. Nothing of an empty directory stays."""
        if self._lock is None:
            return
        if not any(self.machines()):
            (self.path / LOCK).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.path.rmdir()
        os.close(self._lock)
        self._lock = None

    def make(self, instance_id: str) -> Path:
        directory = self.path / instance_id
        directory.mkdir(mode=0o700)
        return directory

    def remove(self, instance_id: str) -> None:
        """Idempotent."""
        shutil.rmtree(self.path / instance_id, ignore_errors=True)

    def machines(self) -> Iterator[Path]:
        """Directories of machines, those of dead ones too."""
        if self.path.is_dir():
            yield from (entry for entry in self.path.iterdir() if entry.is_dir())

    def adoptable(self) -> dict[str, Record]:
        """Records of ready machines that run, by instance id."""
        records = {directory.name: read_record(directory) for directory in self.machines()}
        return {name: record for name, record in records.items() if record is not None and record.adoptable()}

    def sweep(self, keep: set[str]) -> list[str]:
        """End and remove every machine but those of `keep`. Returns the removed ones' ids. Blocks."""
        removed = []
        for directory in list(self.machines()):
            if directory.name in keep:
                continue
            record = read_record(directory)
            if record is not None:
                kill_and_wait(record.pid, record.ticks)
            self.remove(directory.name)
            removed.append(directory.name)
        return sorted(removed)
