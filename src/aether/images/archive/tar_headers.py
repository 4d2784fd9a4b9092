"""Tar's headers, read strictly and in linear time.

Not the standard library's `tarfile`: chains of extended headers exhaust its recursion, its pattern
for pax records takes quadratic time, and negative sizes send it backwards. Formats by POSIX
(`pax`, "pax Interchange Format" and "ustar Interchange Format") and GNU tar's manual ("Basic Tar
Format").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aether.domain.errors import ArchiveRejected

BLOCK_BYTES = 512
_EXTENDED_BYTES = 1 << 20
"""Of one extended header: names are bounded by far less, attributes that we ignore may be there too."""
_NAME, _MODE, _SIZE, _MTIME = slice(0, 100), slice(100, 108), slice(124, 136), slice(136, 148)
_CHECKSUM, _KIND, _LINK = slice(148, 156), slice(156, 157), slice(157, 257)
_MAGIC, _PREFIX = slice(257, 263), slice(345, 500)
_POSIX = b"ustar\0"
_BINARY, _NEGATIVE = 0x80, 0x40
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK = b"x", b"g", b"L", b"K"
_SPARSE = b"S"
_LONGEST_NUMBER = 40
_OVERRIDES = ("path", "linkpath", "size")

Read = Callable[[int], bytes]
"""That many bytes of the stream, or fewer at its end."""


class Damaged(ValueError):
    """This is no tar, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Header:
    """An entry, with what extended headers say of it."""

    name: str
    kind: bytes
    size_bytes: int
    mode: int
    mtime_s: float
    link: str


def next_header(read: Read) -> Header | None:
    """The next entry's, with all its extended headers read; None at the archive's end."""
    extended: dict[bytes, dict[str, str]] = {}
    while (block := _block(read)) is not None:
        kind, size_bytes = block[_KIND], _number(block[_SIZE], "size")
        if kind in (_PAX, _LONG_NAME, _LONG_LINK):
            if kind in extended:
                raise Damaged("an entry has two extended headers of a kind")
            extended[kind] = _extension(kind, _content(read, size_bytes))
        elif kind == _PAX_GLOBAL:
            _refuse_global(_records(_content(read, size_bytes)))
        else:
            merged = extended.get(_LONG_NAME, {}) | extended.get(_LONG_LINK, {}) | extended.get(_PAX, {})
            return _header(block, kind, size_bytes, merged)
    if extended:
        raise Damaged("an extended header has no entry")
    return None


def padding(size_bytes: int) -> int:
    """From the end of an entry's content to the next block."""
    return -size_bytes % BLOCK_BYTES


def exactly(read: Read, size_bytes: int) -> bytes:
    block = read(size_bytes)
    if len(block) < size_bytes:
        raise EOFError("unexpected end of data")
    return block


def _block(read: Read) -> bytes | None:
    block = read(BLOCK_BYTES)
    if not block or not block.strip(b"\0"):
        return None
    if len(block) < BLOCK_BYTES:
        raise EOFError("unexpected end of data")
    blank = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    # Old tars added up signed bytes.
    signed = sum(blank) - 256 * sum(byte >> 7 for byte in blank)
    if _number(block[_CHECKSUM], "checksum") not in (sum(blank), signed):
        raise Damaged("a header's checksum is wrong")
    return block


def _content(read: Read, size_bytes: int) -> bytes:
    if size_bytes > _EXTENDED_BYTES:
        raise ArchiveRejected(f"an extended header in the archive is longer than {_EXTENDED_BYTES} bytes")
    return exactly(read, size_bytes + padding(size_bytes))[:size_bytes]


def _extension(kind: bytes, content: bytes) -> dict[str, str]:
    if kind == _PAX:
        return _records(content)
    return {"path" if kind == _LONG_NAME else "linkpath": _text(content.rstrip(b"\0"))}


def _records(content: bytes) -> dict[str, str]:
    """Each is a length, a space, `keyword=value` and a newline, where the length is that of it all."""
    records: dict[str, str] = {}
    at = 0
    while at < len(content):
        space = content.find(b" ", at, at + 8)
        digits = content[at:space] if space > 0 else b""
        if not digits.isdigit():
            raise Damaged("an extended header has a record without a length")
        end = at + int(digits)
        record = content[space + 1 : end]
        keyword, equals, value = record.partition(b"=")
        if end > len(content) or not equals or not record.endswith(b"\n"):
            raise Damaged("an extended header has a record of a wrong length")
        key = keyword.decode("ascii", "replace")
        if key in (*_OVERRIDES, "mtime") or key.startswith("GNU.sparse."):
            records[key] = _text(value[:-1])
        at = end
    return records


def _refuse_global(records: dict[str, str]) -> None:
    for key in _OVERRIDES:
        if key in records:
            raise ArchiveRejected(f"a global header in the archive sets {key!r} of all its entries")


def _header(block: bytes, kind: bytes, size_bytes: int, extended: dict[str, str]) -> Header:
    name = extended.get("path") or _plain_name(block)
    if kind == _SPARSE or any(key.startswith("GNU.sparse.") for key in extended):
        raise ArchiveRejected(f"entry {name!r} is a sparse file", hint="pack it without --sparse")
    if kind == b"\0":
        kind = b"5" if name.endswith("/") else b"0"  # as tars before POSIX wrote them
    return Header(
        name=name,
        kind=kind,
        size_bytes=_decimal(extended["size"]) if extended.get("size") else size_bytes,
        mode=_number(block[_MODE], "mode"),
        mtime_s=_mtime_s(block, extended.get("mtime")),
        link=extended.get("linkpath") or _text(_until_nul(block[_LINK])),
    )


def _plain_name(block: bytes) -> str:
    name = _until_nul(block[_NAME])
    prefix = _until_nul(block[_PREFIX]) if block[_MAGIC] == _POSIX else b""
    return _text(prefix + b"/" + name if prefix else name)


def _mtime_s(block: bytes, extended: str | None) -> float:
    if extended is None:
        return _number(block[_MTIME], "time", negative=True)
    whole, _, fraction = extended.removeprefix("-").partition(".")
    if not (
        whole.isdecimal() and (fraction.isdecimal() or not fraction) and len(extended) <= _LONGEST_NUMBER
    ):
        raise Damaged("an extended header has a wrong time")
    return float(extended)


def _number(field: bytes, what: str, *, negative: bool = False) -> int:
    """Octal digits, or by GNU's extension a binary number after a byte of 0x80 or 0xff."""
    if field[0] & _BINARY:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & _NEGATIVE:
            value -= 1 << (8 * len(field) - 1)
    else:
        digits = _until_nul(field).strip(b" ") or b"0"
        if digits.strip(b"01234567"):
            raise Damaged(f"a header's {what} is no number")
        value = int(digits, 8)
    if value < 0 and not negative:
        raise Damaged(f"a header's {what} is negative")
    return value


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER):
        raise Damaged("an extended header has a wrong size")
    return int(text)


def _until_nul(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _text(field: bytes) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError as error:
        raise ArchiveRejected(f"entry {field[:80]!r} has a name that is not UTF-8") from error
