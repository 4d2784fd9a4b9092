"""A request, as far as a relay needs to understand it."""

import time

from aether.http.body import Body, ChunkedBody, LengthBody
from aether.http.syntax import Cuts, field_pattern

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"})


class Request:
    """One request's head.

    `target` is in origin form (`/path?query`, or `*`), as sent; `headers` is the raw block, each field
    after its CRLF; `length` is the declared body size, None when chunked; `received_at` is perf_counter
    seconds; `client` the peer's (ip, port), ("", 0) on a Unix socket.
    """

    __slots__ = (
        "client",
        "cuts",
        "expects_continue",
        "forwarded",
        "head_bytes",
        "headers",
        "host",
        "keep_alive",
        "length",
        "low",
        "method",
        "received_at",
        "takes_trailers",
        "target",
        "upgrade",
        "version",
    )

    def __init__(self, method: bytes, target: bytes, version: int, headers: bytes, head_bytes: int) -> None:
        self.client = ("", 0)
        self.method = method
        self.target = target
        self.version = version
        """The minor version: 0 or 1."""
        self.headers = headers
        self.low = headers.lower()
        self.head_bytes = head_bytes
        self.received_at = time.perf_counter()
        self.host = b""
        self.length: int | None = 0
        self.keep_alive = version == 1
        self.expects_continue = False
        self.takes_trailers = False
        self.upgrade = b""
        self.cuts: Cuts = []
        """Where the hop-by-hop fields stand."""
        self.forwarded: list[tuple[bytes, int, int]] = []
        """X-Forwarded-* fields, those with underscores for hyphens too: lower-case name, start and end."""

    def header(self, name: bytes) -> bytes | None:
        """The first field of that name (any case), without surrounding space; None when there is none."""
        found = self.low.find(b"\r\n" + name.lower() + b":")
        if found < 0:
            return None
        start = found + 3 + len(name)
        end = self.headers.find(b"\r\n", start)
        return self.headers[start : end if end >= 0 else None].strip(b" \t")

    def has_any(self, names: frozenset[bytes]) -> bool:
        """Whether there is a field by one of these lower-case names: a few sets, ever."""
        return field_pattern(names).search(self.low) is not None

    def body(self) -> Body:
        """A reader for the body that this head declares."""
        return ChunkedBody() if self.length is None else LengthBody(self.length)
