"""A response's head, checked as strictly as a request's: what answers is not trusted either."""

import re
from functools import lru_cache

from aether.http.body import Body, ChunkedBody, LengthBody, UntilClose
from aether.http.refusal import Refusal
from aether.http.syntax import (
    FIELDS,
    TEXT,
    TOKEN,
    Cuts,
    content_length,
    head_ends,
    is_impossible,
    named_cuts,
    tokens,
)

_HEAD = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])((?: " + TEXT + rb")?)(" + FIELDS + rb")\r\n\r\n")
_NEVER_BY_NAME = frozenset({b"content-length", b"transfer-encoding", b"close", b"keep-alive", b"upgrade"})
_NO_BODY = frozenset({204, 304})
_REFUSES = frozenset({401, 403, 503})
"""With X-Aether-Refused: the first two for want of the right key, the last for now."""
_KEEP_ALIVE_TIMEOUT = re.compile(rb"timeout=([0-9]{1,6})")


@lru_cache(maxsize=8)
def _special(prefix: bytes) -> re.Pattern[bytes]:
    ours = rb"|" + re.escape(prefix) + TOKEN if prefix else b""
    return re.compile(
        rb"\r\n(content-length|connection|transfer-encoding|keep-alive|proxy-connection|te|upgrade"
        rb"|x-aether-refused" + ours + rb"):[\t ]*+([^\r]*)"
    )


class Response:
    """One response's head.

    `length` is the body's size, None when chunked, -1 when it ends with the connection; `reason` begins with
    its space; `refused` is the value of `X-Aether-Refused`, where the status can mean it; `idle_s` what
    `Keep-Alive` promises; `taken_off` the fields that are not passed on, by lower-case name.
    """

    __slots__ = (
        "cuts",
        "head_bytes",
        "headers",
        "idle_s",
        "keep_alive",
        "length",
        "low",
        "reason",
        "refused",
        "status",
        "taken_off",
        "upgrade",
        "version",
    )

    def __init__(self, version: int, status: int, reason: bytes, headers: bytes, head_bytes: int) -> None:
        self.version = version
        self.status = status
        self.reason = reason
        self.headers = headers
        self.low = headers.lower()
        self.head_bytes = head_bytes
        self.length: int | None = -1
        self.keep_alive = version == 1
        self.idle_s: int | None = None
        self.refused = b""
        self.taken_off: dict[bytes, bytes] = {}
        self.upgrade = b""
        self.cuts: Cuts = []

    def body(self) -> Body:
        """A reader for the body that this head declares."""
        if self.length is None:
            return ChunkedBody()
        return LengthBody(self.length) if self.length >= 0 else UntilClose()


def parse_response(
    data: bytes, *, method: bytes, drop_prefix: bytes, max_bytes: int, scanned: int = 0
) -> Response | None:
    """Read the head that `data` begins with; None when it isn't complete yet. Raises Refusal(502).

    `method` is the request's, `drop_prefix` the lower-case prefix of the fields to take off, and `scanned`
    how much of `data` an earlier call has seen.
    """
    match = _HEAD.match(data) if scanned == 0 or head_ends(data, scanned) else None
    if match is None:
        if len(data) > max_bytes or head_ends(data, scanned) or is_impossible(data, scanned):
            raise Refusal(502, "malformed response head")
        if not data.startswith(b"HTTP/1."[: len(data)]):
            raise Refusal(502, "not an HTTP response")
        return None
    if match.end() > max_bytes:
        raise Refusal(502, "response head too large")
    minor, status, reason, headers = match.groups()
    response = Response(1 if minor == b"1" else 0, int(status), reason, headers, match.end())
    _read_special(response, _special(drop_prefix))
    if response.status < 200 or response.status in _NO_BODY or method == b"HEAD":  # noqa: PLR2004 - 1xx
        response.length = 0
    return response


def _read_special(response: Response, pattern: re.Pattern[bytes]) -> None:
    seen: dict[bytes, bytes] = {}
    headers, cuts = response.headers, response.cuts
    for match in pattern.finditer(response.low):
        name = match[1]
        start, end = match.span(2)
        value = headers[start:end].rstrip(b" \t")
        if name == b"content-length":
            if name in seen:
                raise Refusal(502, "repeated Content-Length")
            response.length = content_length(value, 502)
            if response.status >= 200 and response.status != 204:  # noqa: PLR2004 - RFC 9110, 8.6
                seen[name] = value
                continue
        elif name == b"transfer-encoding" and (name in seen or value.lower() != b"chunked"):
            raise Refusal(502, "bad Transfer-Encoding")
        seen[name] = seen[name] + b"," + value if name in seen else value
        cuts.append(match.span())
    if cuts:
        _apply_special(response, seen)


def _apply_connection(response: Response, connection: list[bytes]) -> None:
    response.keep_alive = b"close" not in connection and (
        response.version == 1 or b"keep-alive" in connection
    )
    if extra := set(connection) - _NEVER_BY_NAME:
        response.cuts += named_cuts(response.low, extra)


def _apply_special(response: Response, seen: dict[bytes, bytes]) -> None:
    if b"transfer-encoding" in seen:
        if b"content-length" in seen or response.version == 0:
            raise Refusal(502, "Transfer-Encoding with Content-Length or HTTP/1.0")
        response.length = None
    connection = seen.get(b"connection")
    if connection == b"keep-alive":  # what most say: no need to take it apart
        response.keep_alive = True
    elif connection is not None:
        _apply_connection(response, tokens(connection))
    if b"keep-alive" in seen and (found := _KEEP_ALIVE_TIMEOUT.search(seen[b"keep-alive"])):
        response.idle_s = int(found[1])
    response.taken_off = seen
    response.upgrade = seen.get(b"upgrade", b"")
    if response.status in _REFUSES:
        response.refused = seen.get(b"x-aether-refused", b"")
