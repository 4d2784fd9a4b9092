"""Bodies, as they come in: by length, chunked, or until the connection ends. No I/O.

Each takes bytes and gives `(payload, rest)`: what belongs to the body, and what came after its end.
"""

import re
from collections.abc import Callable
from typing import Protocol

from aether.http.refusal import Refusal
from aether.http.syntax import FIELDS, is_impossible

MAX_CHUNK_LINE_BYTES = 1024
MAX_TRAILER_BYTES = 8192

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILERS = re.compile(FIELDS)


_Step = Callable[[bytes, int, list[bytes]], int | None]


class Body(Protocol):
    """A body that is being read."""

    done: bool
    trailers: bytes
    """Fields after a chunked body, each with the CRLF before it."""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take the next bytes; Refusal(400) when they can't be part of a body."""
        ...


class LengthBody:
    """A body of a declared number of bytes."""

    __slots__ = ("_left", "done", "trailers")

    def __init__(self, length: int) -> None:
        self.trailers = b""
        self._left = length
        self.done = length == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data, b""
        self._left = 0
        self.done = True
        if left == 0:
            return data, b""
        return data[:left], data[left:]


class UntilClose:
    """A response body that ends with its connection."""

    __slots__ = ("done", "trailers")

    def __init__(self) -> None:
        self.trailers = b""
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        return data, b""


class ChunkedBody:
    """A chunked body. Extensions are read and dropped; trailers are kept raw in `trailers`."""

    __slots__ = ("_held", "_left", "_scanned", "_state", "done", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers = b""
        self._held = b""
        self._left = 0
        self._scanned = 0
        """How much of what is held was looked at before: single bytes must not cost their square."""
        self._state: _Step = self._size

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        self._scanned = len(self._held)
        if self._held:
            data = self._held + data
            self._held = b""
        payload: list[bytes] = []
        position = 0
        while position < len(data) and not self.done:
            after = self._state(data, position, payload)
            if after is None:
                self._held = data[position:]
                position = len(data)
            else:
                position = after
                self._scanned = 0
        return (payload[0] if len(payload) == 1 else b"".join(payload)), data[position:]

    def _size(self, data: bytes, position: int, _payload: list[bytes]) -> int | None:
        end = data.find(b"\r\n", position, position + MAX_CHUNK_LINE_BYTES)
        if end < 0:
            self._check_held(data, position, MAX_CHUNK_LINE_BYTES, "chunk size")
            return None
        match = _SIZE_LINE.fullmatch(data, position, end)
        if match is None:
            raise Refusal(400, "bad chunk size")
        self._left = int(match[1], 16)
        self._state = self._data if self._left else self._trailers
        # The trailers' pattern begins with the CRLF that ends the last chunk's size.
        return end + 2 if self._left else end

    def _data(self, data: bytes, position: int, payload: list[bytes]) -> int | None:
        piece = data[position : position + self._left]
        payload.append(piece)
        self._left -= len(piece)
        if self._left == 0:
            self._state = self._data_end
        return position + len(piece)

    def _data_end(self, data: bytes, position: int, _payload: list[bytes]) -> int | None:
        end = data[position : position + 2]
        if end == b"\r\n":
            self._state = self._size
            return position + 2
        if end == b"\r":
            return None
        raise Refusal(400, "chunk longer than its size")

    def _trailers(self, data: bytes, position: int, _payload: list[bytes]) -> int | None:
        end = data.find(b"\r\n\r\n", position, position + MAX_TRAILER_BYTES)
        if end < 0:
            self._check_held(data, position, MAX_TRAILER_BYTES, "trailers")
            return None
        if _TRAILERS.fullmatch(data, position, end) is None:
            raise Refusal(400, "bad trailers")
        self.trailers = data[position:end]
        self.done = True
        return end + 4

    def _check_held(self, data: bytes, position: int, limit: int, what: str) -> None:
        if len(data) - position >= limit:
            raise Refusal(400, f"{what} too long")
        if is_impossible(data, position + self._scanned):
            raise Refusal(400, f"bad {what}")


def chunk(payload: bytes) -> bytes:
    """One chunk of an outgoing chunked body; nothing for no payload, which would end it."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


def last_chunk(trailers: bytes = b"") -> bytes:
    """The end of an outgoing chunked body, with raw trailer fields as `ChunkedBody.trailers` has them."""
    return b"0" + trailers + b"\r\n\r\n"
