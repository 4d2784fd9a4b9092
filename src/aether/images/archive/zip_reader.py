"""Zip archives, entry by entry."""

from __future__ import annotations

import calendar
import io
import stat
import struct
import zipfile
from collections.abc import Iterator
from typing import IO

from aether.domain.errors import ArchiveRejected, TooLarge
from aether.images.archive.tree import EARLIEST_S, Tree

_CHUNK_BYTES = 1 << 18
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_ENCRYPTED, _UTF8 = 0x1, 0x800
_MADE_ON_UNIX = 3
_MAX_TARGET_BYTES = 4096
_DIRECTORY_BYTES_PER_ENTRY = 320
"""46, the name, and what extra fields hold: some 160 in practice."""


class _BoundedReads(io.BufferedReader):
    """zipfile reads an archive's directory in one piece, as long as the archive claims it to be."""

    def __init__(self, file: io.FileIO, most_bytes: int) -> None:
        super().__init__(file)
        self._most_bytes = most_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._most_bytes:
            raise TooLarge(f"the archive has a directory of more than {self._most_bytes} bytes")
        return super().read(size)


def unpack_zip(file: io.FileIO, tree: Tree) -> None:
    with _BoundedReads(file, max(_CHUNK_BYTES, _DIRECTORY_BYTES_PER_ENTRY * tree.limits.entries)) as bounded:
        _unpack(bounded, tree)


def _unpack(file: IO[bytes], tree: Tree) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > tree.limits.entries:
            raise TooLarge(f"more than {tree.limits.entries} entries in the archive")
        _refuse_overlaps(file, archive, entries)
        for entry in entries:
            _unpack_entry(archive, entry, _name(entry), tree)


def _unpack_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, tree: Tree) -> None:
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveRejected(f"entry {name!r} is encrypted")
    # The mode means something only where a Unix tool wrote it; elsewhere those bits are anything.
    mode = entry.external_attr >> 16 if entry.create_system == _MADE_ON_UNIX else 0
    kind = stat.S_IFMT(mode)
    mtime_s = _mtime_s(entry)
    if name.endswith("/") or kind == stat.S_IFDIR:
        tree.add_directory(name, mtime_s)
    elif kind == stat.S_IFLNK:
        with archive.open(entry) as content:
            target = content.read(_MAX_TARGET_BYTES + 1)
        tree.count_bytes(len(target))
        tree.add_symlink(name, target.decode(), mtime_s)
    elif kind in (0, stat.S_IFREG):
        tree.expect_bytes(entry.file_size, name)
        tree.add_file(name, _chunks(archive, entry), executable=bool(mode & 0o111), mtime_s=mtime_s)
    else:
        raise ArchiveRejected(f"entry {name!r} is a device, a FIFO or a socket")


def _chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    # Reading to the end checks the CRC.
    with archive.open(entry) as content:
        while chunk := content.read(_CHUNK_BYTES):
            yield chunk


def _name(entry: zipfile.ZipInfo) -> str:
    """As the archive has it: `entry.filename` is cut at a NUL, and may be a guess of code page 437."""
    name = entry.orig_filename
    if not entry.flag_bits & _UTF8:
        try:
            name = name.encode("cp437").decode()
        except UnicodeDecodeError as error:
            raise ArchiveRejected(f"entry {name!r} has a name that is not UTF-8") from error
    if "\\" in name:
        raise ArchiveRejected(
            f"entry {name!r} has a backslash in its name", hint="pack it with a tool that writes '/'"
        )
    return name


def _mtime_s(entry: zipfile.ZipInfo) -> float:
    # A zip's times have no zone. UTC makes the same archive the same image everywhere.
    try:
        return float(calendar.timegm((*entry.date_time, 0, 0, 0)))
    except (ValueError, OverflowError):
        return EARLIEST_S


def _refuse_overlaps(file: IO[bytes], archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> None:
    """Entries that share bytes make bombs with any ratio: each byte belongs to one entry only."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise ArchiveRejected(f"entry {entry.filename!r} overlaps another one")
        file.seek(entry.header_offset)
        header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size:
            raise ArchiveRejected(f"entry {entry.filename!r} is cut short")
        *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        end = entry.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes + entry.compress_size
    if end > archive.start_dir:
        raise ArchiveRejected("an entry overlaps the archive's directory")
