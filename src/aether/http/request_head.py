"""A request's head: one pattern over the whole block, then a look at the few fields that concern a relay."""

import re

from aether.http.limits import Limits
from aether.http.refusal import Refusal
from aether.http.request import Request
from aether.http.syntax import (
    FIELDS,
    HOST,
    TOKEN,
    content_length,
    head_ends,
    is_impossible,
    named_cuts,
    tokens,
)

_LINE = rb"(" + TOKEN + rb") ([\x21\x22\x24-\x7e\x80-\xff]++) HTTP/1\.([01])"
_HEAD = re.compile(rb"(?:\r\n){0,4}+" + _LINE + rb"(" + FIELDS + rb")\r\n\r\n")
_REQUEST_LINE = re.compile(_LINE)
_NAMES = (
    rb"host|connection|content-length|transfer-encoding|keep-alive|proxy-connection|te|upgrade|expect"
    rb"|http2-settings"
)
_SPECIAL = re.compile(rb"\r\n(" + _NAMES + rb"):[\t ]*+([^\r]*)")
_SPECIAL_AT_EDGE = re.compile(rb"\r\n(" + _NAMES + rb"|x[-_]forwarded[-_](?:for|proto|host)):[\t ]*+([^\r]*)")
_ABSOLUTE = re.compile(rb"https?://([^/?]+)(.*)", re.IGNORECASE)
_MAX_METHOD_BYTES = 32
# Named in Connection these would take the message's meaning away; they are dealt with on their own.
_NEVER_BY_NAME = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"close", b"keep-alive", b"upgrade"}
)


def parse_request(data: bytes, limits: Limits, scanned: int = 0, *, edge: bool = True) -> Request | None:
    """Read the head that `data` begins with; None when it isn't complete yet.

    `scanned` is how much of `data` an earlier call has seen; X-Forwarded-* is looked for at the `edge` only.
    Raises Refusal with 400, 414 or 431.
    """
    match = _HEAD.match(data) if scanned == 0 or head_ends(data, scanned) else None
    if match is None:
        _check_incomplete(data, limits, scanned)
        return None
    method, target, minor, headers = match.groups()
    if len(target) > limits.max_target_bytes:
        raise Refusal(414, "request target too long")
    if match.end() > limits.max_head_bytes:
        raise Refusal(431, "request head too large")
    if headers.count(b"\r\n") > limits.max_headers:
        raise Refusal(431, "too many header fields")
    if len(method) > _MAX_METHOD_BYTES:
        raise Refusal(400, "bad method")
    request = Request(method, target, 1 if minor == b"1" else 0, headers, match.end())
    _read_special(request, _SPECIAL_AT_EDGE if edge else _SPECIAL)
    _check_target(request)
    return request


def _check_incomplete(data: bytes, limits: Limits, scanned: int) -> None:
    """Refuse what can't become a request any more."""
    if is_impossible(data, scanned):
        raise Refusal(400, "malformed request head")
    head = data.lstrip(b"\r\n")
    line_end = head.find(b"\r\n")
    line = head if line_end < 0 else head[:line_end]
    if len(line) > limits.max_target_bytes + _MAX_METHOD_BYTES + len(b"  HTTP/1.1"):
        raise Refusal(414, "request target too long")
    if head_ends(head, scanned - len(data) + len(head)) or (
        line_end >= 0 and _REQUEST_LINE.fullmatch(line) is None
    ):
        raise Refusal(400, "malformed request head")
    if len(data) > limits.max_head_bytes:
        raise Refusal(431, "request head too large")


def _read_special(request: Request, pattern: re.Pattern[bytes]) -> None:
    headers = request.headers
    seen: dict[bytes, bytes] = {}
    for match in pattern.finditer(request.low):
        name = match[1]
        start, end = match.span(2)
        value = headers[start:end].rstrip(b" \t")
        if name == b"host":
            if name in seen or HOST.fullmatch(value) is None:
                raise Refusal(400, "bad or repeated Host")
            request.host = value
        elif name == b"content-length":
            if name in seen:
                raise Refusal(400, "repeated Content-Length")
            request.length = content_length(value, 400)
        elif name.startswith((b"x-f", b"x_f")):
            request.forwarded.append((name, match.start(), match.end()))
            continue
        else:
            request.cuts.append(match.span())
            if name in seen:
                value = seen[name] + b"," + value
        seen[name] = value
    if request.version and b"host" not in seen:
        raise Refusal(400, "no Host")
    if len(seen) > 1 or b"host" not in seen:
        _apply_special(request, seen)


def _apply_special(request: Request, seen: dict[bytes, bytes]) -> None:
    if b"transfer-encoding" in seen:
        if seen[b"transfer-encoding"].lower() != b"chunked":
            raise Refusal(400, "bad Transfer-Encoding")
        if b"content-length" in seen or request.version == 0:
            raise Refusal(400, "Transfer-Encoding with Content-Length or HTTP/1.0")
        request.length = None
    connection = tokens(seen.get(b"connection", b""))
    if connection:
        request.keep_alive = b"close" not in connection and (
            request.version == 1 or b"keep-alive" in connection
        )
        if extra := set(connection) - _NEVER_BY_NAME:
            request.cuts += named_cuts(request.low, extra)
    if request.version == 0:
        return
    request.expects_continue = request.length != 0 and seen.get(b"expect", b"").lower() == b"100-continue"
    request.takes_trailers = b"trailers" in tokens(seen.get(b"te", b""))
    if b"upgrade" in connection and request.length == 0:
        upgrade = seen.get(b"upgrade", b"")
        # HTTP/2 inside the tunnel would carry requests that nobody checks.
        request.upgrade = b"" if any(t.startswith(b"h2") for t in tokens(upgrade)) else upgrade


def _check_target(request: Request) -> None:
    target = request.target
    if target.startswith(b"/") or (target == b"*" and request.method == b"OPTIONS"):
        return
    match = _ABSOLUTE.fullmatch(target)
    if match is None or request.method == b"CONNECT":
        raise Refusal(400, "bad request target")
    authority, path = match.groups()
    if HOST.fullmatch(authority) is None or (request.version and authority.lower() != request.host.lower()):
        raise Refusal(400, "request target and Host disagree")
    request.host = request.host or authority
    request.target = path if path.startswith(b"/") else b"/" + path
