"""The grammar that request heads, response heads and trailers share (RFC 9110, RFC 9112).

Header blocks are kept raw, each field after its CRLF and none after the last, so that a field is found and
cut out whole. Lower-cased copies are searched: case-insensitive patterns cost several times as much.
"""

import re
from functools import lru_cache

from aether.http.refusal import Refusal

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
TEXT = rb"[\t\x20-\x7e\x80-\xff]*+"
# A group must not be repeated possessively: Python 3.11.2 then keeps what a failed try had taken (gh-100061).
FIELDS = rb"(?:\r\n" + TOKEN + rb":" + TEXT + rb")*"

HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

# Bytes that no head can contain, whatever follows: seen early, a bad client needn't be waited for.
IMPOSSIBLE = re.compile(rb"(?<!\r)\n|\r[^\n]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def head_ends(data: bytes, scanned: int) -> bool:
    """Whether a head that began earlier is complete, when its first `scanned` bytes were looked at before.

    Only what is new is looked at: a head that comes byte by byte must not cost its length squared.
    """
    return data.find(b"\r\n\r\n", max(0, scanned - 3)) >= 0


def is_impossible(data: bytes, scanned: int) -> bool:
    """Whether what is new holds bytes that no head contains, or line ends that aren't CRLF."""
    return IMPOSSIBLE.search(data, max(0, scanned - 1)) is not None


_LENGTH = re.compile(rb"[0-9]{1,18}")

Cuts = list[tuple[int, int]]


def content_length(value: bytes, status: int) -> int:
    """Read a Content-Length: digits and nothing else."""
    if _LENGTH.fullmatch(value) is None:
        raise Refusal(status, "bad Content-Length")
    return int(value)


def tokens(value: bytes) -> list[bytes]:
    """Split a comma-separated list of names, lower-cased."""
    return [part for item in value.lower().split(b",") if (part := item.strip(b" \t"))]


@lru_cache(maxsize=64)
def field_pattern(names: frozenset[bytes]) -> re.Pattern[bytes]:
    """Match any of these fields in a lower-cased block. For the few sets that our own code names."""
    return re.compile(rb"\r\n(?:" + b"|".join(re.escape(name) for name in sorted(names)) + rb"):[^\r]*")


def named_cuts(low: bytes, names: set[bytes]) -> Cuts:
    """Where fields that the other side named stand; no pattern, as compiling one costs far more."""
    cuts = []
    start = 0
    for line in low.split(b"\r\n")[1:]:
        end = start + 2 + len(line)
        if line.partition(b":")[0] in names:
            cuts.append((start, end))
        start = end
    return cuts


def cut(raw: bytes, cuts: Cuts) -> bytes:
    """Take the given spans, in any order and overlapping or not, out of a header block."""
    if not cuts:
        return raw
    if len(cuts) == 1:  # as most often
        start, end = cuts[0]
        return raw[:start] + raw[end:]
    kept = []
    position = 0
    for start, end in sorted(cuts):
        if start > position:
            kept.append(raw[position:start])
        position = max(position, end)
    kept.append(raw[position:])
    return b"".join(kept)
