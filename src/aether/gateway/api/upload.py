"""An uploaded archive, from the wire to a file."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fastapi import Request
from starlette.requests import ClientDisconnect

from aether.domain.errors import BadRequest, DiskFull, TooLarge
from aether.gateway.api.multipart import FilePart

UPLOAD_PREFIX = "upload-"
_MULTIPART_ROOM_BYTES = 64 << 10
"""What a multipart body may have around the file."""
_WRITE_BYTES = 1 << 20
_SHOWN_NAME = 100


@dataclass(frozen=True, slots=True)
class Upload:
    path: Path
    filename: str | None
    """As the client named it, for messages only."""
    sha256: str


@asynccontextmanager
async def received_archive(request: Request, work_dir: Path, max_bytes: int) -> AsyncIterator[Upload]:
    """The request's archive as a file in `work_dir`, which is removed at the end.

    Raw with `X-Filename`, or the multipart field `file`. Raises TooLarge (before the body is read
    when its length says so), InvalidRequest, DiskFull.
    """
    content_type = request.headers.get("content-type", "")
    multipart = content_type.strip().lower().startswith("multipart/form-data")
    declared = request.headers.get("content-length", "")
    allowed = max_bytes + _MULTIPART_ROOM_BYTES if multipart else max_bytes
    if declared.isdecimal() and int(declared) > allowed:
        raise _too_large(max_bytes)
    body = _bounded(request.stream(), allowed, max_bytes)
    part = FilePart(content_type) if multipart else None
    content = part.content(body) if part else body
    try:
        file = await asyncio.to_thread(_open, work_dir)
    except OSError as error:
        raise DiskFull(f"can't keep the archive: {error.strerror}") from error
    path = Path(file.name)
    try:
        with file:
            sha256 = await _write(content, file, max_bytes)
        filename = part.filename if part else request.headers.get("x-filename")
        yield Upload(path, filename[:_SHOWN_NAME] if filename else None, sha256)
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


def _open(work_dir: Path) -> IO[bytes]:
    work_dir.mkdir(parents=True, exist_ok=True)
    return tempfile.NamedTemporaryFile(prefix=UPLOAD_PREFIX, dir=work_dir, delete=False)


async def _bounded(chunks: AsyncIterator[bytes], allowed: int, max_bytes: int) -> AsyncIterator[bytes]:
    received_bytes = 0
    try:
        async for chunk in chunks:
            received_bytes += len(chunk)
            if received_bytes > allowed:
                raise _too_large(max_bytes)
            yield chunk
    except ClientDisconnect as error:
        raise BadRequest("the client went before the archive was whole") from error


async def _write(content: AsyncIterator[bytes], file: IO[bytes], max_bytes: int) -> str:
    """In pieces of a megabyte, each written in a thread; gives the sha256 of it all."""
    digest = hashlib.sha256()
    pending, written_bytes = bytearray(), 0

    def write(piece: bytes) -> None:
        digest.update(piece)
        file.write(piece)

    try:
        async for chunk in content:
            pending += chunk
            written_bytes += len(chunk)
            if written_bytes > max_bytes:
                raise _too_large(max_bytes)
            if len(pending) >= _WRITE_BYTES:
                await asyncio.to_thread(write, bytes(pending))
                pending.clear()
        await asyncio.to_thread(write, bytes(pending))
        await asyncio.to_thread(file.flush)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("no room left to keep the archive") from error
        raise
    return digest.hexdigest()


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"the archive is over {max_bytes} bytes")


def sweep_uploads(work_dir: Path) -> None:
    """Remove what a process that was killed left behind."""
    for leftover in work_dir.glob(f"{UPLOAD_PREFIX}*"):
        leftover.unlink(missing_ok=True)
