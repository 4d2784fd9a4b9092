"""Who a worker is: its id, and what tells a restart of it from a rival. Kept in its data directory."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aether.domain.errors import AetherError
from aether.domain.ids import new_id

FILE, LOCK = "worker.json", "worker.lock"
INSTANCES = "instances"


class NotAlone(AetherError):
    """Another worker has the id, or the data directory: this one must not serve."""

    code, status = "worker_not_alone", 409

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint=hint, component="worker")


@dataclass(frozen=True, slots=True)
class Home:
    """`secret` is what the registry shows as the worker's `home`."""

    directory: Path
    worker_id: str
    secret: str

    @property
    def instances(self) -> Path:
        """What is known of instances, for a process that adopts them."""
        return self.directory / INSTANCES


@contextmanager
def open_home(directory: Path, worker_id: str = "") -> Iterator[Home]:
    """Made at the first start; `worker_id` overrides the id that is kept. For one process at a time.

    Raises NotAlone when another process has it, OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(lock, directory)
        kept = _read(directory / FILE)
        home = Home(
            directory,
            worker_id or kept.get("id") or new_id("wrk"),
            kept.get("home") or secrets.token_hex(16),
        )
        if kept != {"id": home.worker_id, "home": home.secret}:
            _write(directory / FILE, home)
        yield home
    finally:
        os.close(lock)


def _take(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).decode(errors="replace").strip()
        raise NotAlone(
            f"Another worker (process {owner}) already runs on {directory}.",
            hint="Stop it, or give this one a directory of its own: AETHER_DATA_DIR=DIR",
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _read(path: Path) -> dict[str, str]:
    """Whatever can be read of it; what can't is made anew, and the instances of before are another's then."""
    try:
        kept = json.loads(path.read_bytes())
        return {name: str(kept[name]) for name in ("id", "home") if kept.get(name)}
    except (OSError, ValueError, AttributeError):
        return {}


def _write(path: Path, home: Home) -> None:
    """Whole or not at all, and on the disk: an id that changes after a power cut is another worker."""
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"id": home.worker_id, "home": home.secret}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
