"""The data directory of an embedded platform: one process at a time, private, with its key."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from aether.cli.failures import Refused
from aether.cli.paths import key_file

PRIVATE = 0o700
KEY_MODE = 0o600
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
MACHINES = "vms"
"""Below the socket directory, the VMM driver's own."""


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Make the directory if there is none, and keep every other platform out of it meanwhile.

    Raises Refused when one is there already. A lock goes with the process, however it ends.
    """
    with _lock(data_dir, "lock", "platform", fcntl.LOCK_EX):
        yield


@contextmanager
def shared(data_dir: Path, role: str = "") -> Iterator[None]:
    """For roles: a gateway and a worker may share a directory, but not with a whole platform.

    With `role`, no other of that name. Raises Refused.
    """
    own = _lock(data_dir, f"{role}.lock", role, fcntl.LOCK_EX) if role else nullcontext()
    with _lock(data_dir, "lock", "platform", fcntl.LOCK_SH), own:
        yield


@contextmanager
def _lock(data_dir: Path, name: str, what: str, how: int) -> Iterator[None]:
    try:
        data_dir.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, KEY_MODE)
    except OSError as error:
        raise _unusable(data_dir, error) from error
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode().strip()
            raise Refused(
                f"Another {what} (process {owner}) already runs on {data_dir}.",
                hint="Stop it, or give this one a directory of its own: --data-dir DIR",
            ) from None
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _unusable(data_dir: Path, error: OSError) -> Refused:
    return Refused(
        f"The data directory {data_dir} can't be used: {error.strerror}.",
        hint="Give another: --data-dir DIR",
    )


@contextmanager
def socket_directory(path: Path) -> Iterator[Path]:
    """A directory for sockets that is ours alone; one that was made here is gone in the end.

    Raises Refused for one that another user has made: it may lie where everybody can write.
    """
    made = [directory for directory in (path, path.parent) if not directory.exists()]
    # What it lies in is no less private, should it be made here: a worker may have its own there.
    path.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    path.mkdir(mode=PRIVATE, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & OTHERS_MAY_WRITE:
        raise Refused(
            f"{path} is not a directory that belongs to this user alone.",
            hint="Remove it, or name another: SOCKET_DIR=DIR",
        )
    try:
        yield path
    finally:
        for directory in (path / MACHINES, *made):
            with suppress(OSError):
                directory.rmdir()


def api_key(data_dir: Path) -> str:
    """The key of this platform's management API, made at the first start."""
    path = key_file(data_dir)
    if not path.exists():
        partial = path.with_name(path.name + ".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, KEY_MODE)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"ak-{secrets.token_urlsafe(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    return path.read_text().strip()
