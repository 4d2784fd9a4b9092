"""Decoding of LZ4's legacy format, which is how Debian compresses its cloud kernels.

Source of the layout: the LZ4 project's frame format description, "Legacy frame", and block format
description. Written out here since 50 lines do it in a second, and a dependency would be one more
thing to install before the first boot.
"""

from __future__ import annotations

MAGIC = bytes.fromhex("02214c18")
LONG = 15
"""A length of 15 in the token goes on in the bytes that follow, until one that isn't 255."""
MIN_MATCH = 4


def decompress_legacy(data: bytes) -> bytes:
    """Decode a legacy frame. Raises ValueError when it is damaged."""
    if not data.startswith(MAGIC):
        raise ValueError("not an LZ4 legacy frame")
    out: list[bytes] = []
    at = len(MAGIC)
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        at += 4
        if size == 0 or at + size > len(data):
            break  # the kernel's build appends the uncompressed size; the caller checks it
        out.append(decompress_block(data[at : at + size]))
        at += size
    return b"".join(out)


def decompress_block(block: bytes) -> bytes:
    """Decode one block: runs of literal bytes and copies of what came before, in turn."""
    out = bytearray()
    at, end = 0, len(block)
    try:
        while at < end:
            token = block[at]
            literals, at = run_length(block, at + 1, token >> 4)
            out += block[at : at + literals]
            at += literals
            if at >= end:
                break  # the last sequence has literals only
            offset = block[at] | block[at + 1] << 8
            match, at = run_length(block, at + 2, token & 15)
            copy_back(out, offset, match + MIN_MATCH)
    except IndexError:
        raise ValueError("LZ4 block ends too early") from None
    if at > end:
        raise ValueError("LZ4 block ends too early")
    return bytes(out)


def run_length(block: bytes, at: int, length: int) -> tuple[int, int]:
    """The whole length, and where reading goes on."""
    if length == LONG:
        more = 255
        while more == 255:  # noqa: PLR2004 - the format's continuation byte
            more = block[at]
            at += 1
            length += more
    return length, at


def copy_back(out: bytearray, offset: int, length: int) -> None:
    """Append `length` bytes from `offset` back; the two may overlap, which repeats a pattern."""
    start = len(out) - offset
    if offset == 0 or start < 0:
        raise ValueError("LZ4 match before the start of its block")
    if offset >= length:
        out += out[start : start + length]
    else:
        pattern = bytes(out[start:])
        out += (pattern * (length // offset + 1))[:length]
