"""The little that we need to know of ELF files (64 bit, little-endian)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"\x7fELF\x02\x01"
HEADER_SIZE = 64
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
DYNAMIC_ENTRY = struct.Struct("<qQ")
PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_NEEDED, DT_STRTAB = 0, 1, 5


@dataclass(frozen=True, slots=True)
class Segment:
    kind: int
    offset: int
    address: int
    size: int
    """In the file."""


def is_elf(data: bytes) -> bool:
    return data.startswith(MAGIC)


def segments(data: bytes) -> Iterator[Segment]:
    """Raises ValueError for anything that isn't a whole ELF file."""
    if not is_elf(data) or len(data) < HEADER_SIZE:
        raise ValueError("not a 64-bit little-endian ELF file")
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    if size < PROGRAM_HEADER.size or table + size * count > len(data):
        raise ValueError("the ELF file ends in its program headers")
    for index in range(count):
        kind, _, offset, address, _, in_file, _, _ = PROGRAM_HEADER.unpack_from(data, table + index * size)
        yield Segment(kind, offset, address, in_file)


def stripped(data: bytes) -> bytes:
    """The file without what running it doesn't need: symbols, debug information, section headers.

    Node's binary loses 18 MB of 126. Done here since binutils need not be installed, and the result
    must not depend on whether they are.
    """
    end = max((part.offset + part.size for part in segments(data)), default=0)
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    end = max(end, table + size * count)
    if end > len(data):
        raise ValueError("the ELF file ends before its segments do")
    out = bytearray(data[:end])
    struct.pack_into("<Q", out, 40, 0)  # e_shoff
    struct.pack_into("<HH", out, 60, 0, 0)  # e_shnum, e_shstrndx
    return bytes(out)


def needed(data: bytes) -> list[str]:
    """The shared libraries that the file names; none for a static one. Raises ValueError."""
    parts = list(segments(data))
    dynamic = next((part for part in parts if part.kind == PT_DYNAMIC), None)
    if dynamic is None:
        return []
    section = data[dynamic.offset : dynamic.offset + dynamic.size]
    section = section[: len(section) // DYNAMIC_ENTRY.size * DYNAMIC_ENTRY.size]
    entries = list(DYNAMIC_ENTRY.iter_unpack(section))
    table = next((value for tag, value in entries if tag == DT_STRTAB), None)
    if table is None:
        raise ValueError("the dynamic section has no table of strings")
    strings = file_offset(parts, table)
    names = []
    for tag, value in entries:
        if tag == DT_NULL:
            break
        if tag == DT_NEEDED:
            start = strings + value
            names.append(data[start : data.index(b"\0", start)].decode())
    return names


def file_offset(parts: list[Segment], address: int) -> int:
    for part in parts:
        if part.kind == PT_LOAD and part.address <= address < part.address + part.size:
            return address - part.address + part.offset
    raise ValueError(f"address {address:#x} is in no segment")
