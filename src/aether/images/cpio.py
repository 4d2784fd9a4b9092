"""Writing cpio archives in the `newc` form, which the kernel unpacks as its first file system.

Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. Times, owners and
numbers are fixed, so the same files make the same bytes.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import BinaryIO

ALIGNMENT = 4
TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder, a file or a device. `mode` has the kind of file in it, as `st_mode` does."""

    name: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(name: str, mode: int = 0o755) -> Entry:
    return Entry(name, stat.S_IFDIR | mode)


def regular(name: str, content: bytes, mode: int = 0o644) -> Entry:
    return Entry(name, stat.S_IFREG | mode, content)


def character_device(name: str, major: int, minor: int, mode: int = 0o600) -> Entry:
    return Entry(name, stat.S_IFCHR | mode, device=(major, minor))


def write_archive(out: BinaryIO, entries: list[Entry]) -> None:
    for number, entry in enumerate([*entries, Entry(TRAILER, 0)], start=1):
        name = entry.name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(entry.mode) else 1
        fields = (
            number, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, *entry.device, len(name), 0
        )  # fmt: skip
        header = b"070701" + b"".join(b"%08X" % value for value in fields)
        out.write(padded(header + name))
        out.write(padded(entry.content))


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)
