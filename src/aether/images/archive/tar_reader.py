"""Tar archives in gzip, as one stream."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import IO

from aether.domain.errors import ArchiveRejected
from aether.images.archive.tar_headers import Header, Read, exactly, next_header, padding
from aether.images.archive.tree import Tree

_CHUNK_BYTES = 1 << 18
_FILES = (b"0", b"7")
"""Regular, and what was once "contiguous"."""
_HARD_LINK, _SYMLINK, _DIRECTORY = b"1", b"2", b"5"


def unpack_tar_gz(file: IO[bytes], tree: Tree) -> None:
    with gzip.GzipFile(fileobj=file) as plain:
        read = _counted(plain, tree)
        while (entry := next_header(read)) is not None:
            _unpack_entry(read, entry, tree)
        while read(_CHUNK_BYTES):
            pass  # to the end, where gzip's own checksum is


def _unpack_entry(read: Read, entry: Header, tree: Tree) -> None:
    name = entry.name
    if entry.kind == _DIRECTORY:
        tree.add_directory(name, entry.mtime_s)
    elif entry.kind == _SYMLINK:
        tree.add_symlink(name, entry.link, entry.mtime_s)
    elif entry.kind == _HARD_LINK:
        tree.add_hard_link(name, entry.link)
    elif entry.kind in _FILES:
        tree.expect_bytes(entry.size_bytes, name)
        content = _chunks(read, entry.size_bytes)
        tree.add_file(name, content, executable=bool(entry.mode & 0o111), mtime_s=entry.mtime_s)
    else:
        raise ArchiveRejected(f"entry {name!r} is a device, a FIFO or of an unknown kind")


def _chunks(read: Read, size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    while left:
        chunk = exactly(read, min(_CHUNK_BYTES, left))
        left -= len(chunk)
        yield chunk
    exactly(read, padding(size_bytes))


def _counted(plain: gzip.GzipFile, tree: Tree) -> Read:
    """Bounds what comes out of gzip, headers included: a header may claim any length too."""
    read_bytes = 0

    def read(size_bytes: int) -> bytes:
        nonlocal read_bytes
        block = plain.read(size_bytes)
        read_bytes += len(block)
        tree.check_stream(read_bytes)
        return block

    return read
