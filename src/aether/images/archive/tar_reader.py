"""Tar archives in gzip, as one stream."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from typing import IO

from aether.domain.errors import ArchiveRejected
from aether.images.archive.tree import Tree

_CHUNK_BYTES = 1 << 18


def unpack_tar_gz(file: IO[bytes], tree: Tree) -> None:
    with gzip.GzipFile(fileobj=file) as plain:
        counted = _Counted(plain, tree)
        # As a stream: in the other mode tarfile goes back in the file, and gzip starts afresh for it.
        with tarfile.open(fileobj=counted, mode="r|", encoding="utf-8") as archive:
            for entry in archive:
                _unpack_entry(archive, entry, tree)
        while counted.read(_CHUNK_BYTES):
            pass  # to the end, where gzip's own checksum is


def _unpack_entry(archive: tarfile.TarFile, entry: tarfile.TarInfo, tree: Tree) -> None:
    name = entry.name
    if entry.isdir():
        tree.add_directory(name, entry.mtime)
    elif entry.issym():
        tree.add_symlink(name, entry.linkname, entry.mtime)
    elif entry.islnk():
        tree.add_hard_link(name, entry.linkname)
    elif entry.isreg():
        tree.expect_bytes(entry.size, name)
        chunks = _chunks(archive, entry)
        tree.add_file(name, chunks, executable=bool(entry.mode & 0o111), mtime_s=entry.mtime)
    else:
        raise ArchiveRejected(f"entry {name!r} is a device, a FIFO or of an unknown kind")


def _chunks(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> Iterator[bytes]:
    content = archive.extractfile(entry)
    if content is None:
        raise ArchiveRejected(f"entry {entry.name!r} has no content")
    with content:
        left = entry.size
        while left:
            chunk = content.read(min(_CHUNK_BYTES, left))
            if not chunk:
                raise EOFError("unexpected end of data")
            left -= len(chunk)
            yield chunk


class _Counted(io.BufferedIOBase):
    """Bounds what comes out of gzip, headers included: a header may claim any length too."""

    def __init__(self, plain: gzip.GzipFile, tree: Tree) -> None:
        super().__init__()
        self._plain = plain
        self._tree = tree
        self._read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        block = self._plain.read(size)
        self._read_bytes += len(block)
        self._tree.check_stream(self._read_bytes)
        return block
