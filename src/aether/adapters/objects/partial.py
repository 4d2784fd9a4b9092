"""Files that are whole or not there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CHUNK_BYTES = 4 << 20

MARK = ".partial"
"""How names of unfinished files end; they begin with a dot. One that is left was left by a kill."""

NO_KERNEL_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""Two kinds of file system, or one without it. Source: copy_file_range(2)."""

NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)
"""Another file system, one without links, a file of another user's, or too many links."""


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a thread; a cancellation waits for its end, so that it leaves nothing."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


@contextmanager
def partial(target: Path) -> Iterator[Path]:
    """A new name beside `target`, to write to and then to `finish`; it is gone at the end."""
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}{MARK}")
    try:
        yield unfinished
    finally:
        # Also after a rename: when both names are of one file, it removes neither.
        unfinished.unlink(missing_ok=True)


def finish(unfinished: Path, target: Path) -> None:
    """Make `target` what was written, also for a machine that loses power now."""
    sync(unfinished)
    unfinished.replace(target)
    sync(target.parent)


def is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith(MARK)


def place(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or, where that can't be, a copy (reflinked if can be)."""
    with partial(target) as unfinished:
        try:
            os.link(source, unfinished)
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
            copy(source, unfinished)
        finish(unfinished, target)


def copy(source: Path, target: Path) -> None:
    """Copy the bytes; file systems that can, share them."""
    with source.open("rb", buffering=0) as reading, target.open("xb") as writing:
        try:
            while os.copy_file_range(reading.fileno(), writing.fileno(), CHUNK_BYTES):
                pass
        except OSError as error:
            if error.errno not in NO_KERNEL_COPY:
                raise
            # Both are still where the last whole copy left them.
            shutil.copyfileobj(reading, writing, CHUNK_BYTES)


def sync(path: Path) -> None:
    """Have a file or a directory's names on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Hex. Raises FileNotFoundError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(paths: list[Path]) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def sweep(root: Path) -> None:
    """Remove the unfinished files below `root` that a kill left; for when nobody writes there."""
    remove(list(root.rglob(f".*{MARK}")))
