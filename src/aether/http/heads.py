"""Writing heads: the one that came in, less what concerned its own connection, with what is added."""

from functools import lru_cache
from http import HTTPStatus

from aether.http.messages import Answer, Forward
from aether.http.request import Request
from aether.http.response import Response
from aether.http.syntax import HOST, cut, field_pattern

_NEVER_TRAILERS = frozenset(
    b"authorization connection content-encoding content-length content-type cookie expect host keep-alive "
    b"proxy-authorization proxy-connection set-cookie te trailer transfer-encoding upgrade".split()
)

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def request_head(request: Request, forward: Forward, scheme: bytes, *, trusted: bool = False) -> bytes:
    """The head to send upstream."""
    kept, added = kept_and_added(request, forward, scheme, trusted=trusted)
    return b"%b %b HTTP/1.1%b\r\n%b\r\n" % (request.method, forward.target, kept, added)


def kept_and_added(
    request: Request, forward: Forward, scheme: bytes, *, trusted: bool = False
) -> tuple[bytes, bytes]:
    """The fields that are passed on, each after its CRLF, and those that are set, each before its CRLF.

    With a `scheme` we are the edge, and say who asked (X-Forwarded-…). From a `trusted` front proxy we take
    its word for the scheme and the host that were asked for.
    """
    cuts = request.cuts
    added = forward.add_headers
    if forward.drop:
        found = [match.span() for match in field_pattern(forward.drop).finditer(request.low)]
        if found:
            cuts = cuts + found
    if scheme:
        if request.forwarded:
            cuts = cuts + [(start, end) for _, start, end in request.forwarded]
        added += _forwarded(request, scheme, trusted=trusted)
    if request.length is None:
        added += b"Transfer-Encoding: chunked\r\n"
    if request.expects_continue and forward.upstream_continues:
        added += b"Expect: 100-continue\r\n"
    if request.upgrade:
        added += b"Connection: Upgrade\r\nUpgrade: " + request.upgrade + b"\r\n"
    elif request.takes_trailers:
        added += b"Connection: TE\r\nTE: trailers\r\n"
    if request.version == 0 and b"\r\nhost:" not in request.low:
        host = str(forward.upstream) if not forward.upstream.path else "localhost"
        added += b"Host: " + (request.host or host.encode()) + b"\r\n"
    return cut(request.headers, cuts), added


def _forwarded(request: Request, scheme: bytes, *, trusted: bool) -> bytes:
    client = request.client[0].encode() or b"unknown"
    told: dict[bytes, list[bytes]] = {}
    for name, start, end in request.forwarded:
        value = request.headers[start + len(b"\r\n:") + len(name) : end].strip(b" \t")
        if value:
            told.setdefault(name, []).append(value)
    host = request.host
    if trusted:
        schemes, hosts = told.get(b"x-forwarded-proto", []), told.get(b"x-forwarded-host", [])
        if len(schemes) == 1 and schemes[0] in (b"http", b"https"):
            scheme = schemes[0]
        if len(hosts) == 1 and HOST.fullmatch(hosts[0]):
            host = hosts[0]
    chain = b", ".join([*told.get(b"x-forwarded-for", []), client])
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n" % (
        chain,
        scheme,
        host,
    )


def response_head(
    response: Response, forward: Forward, added: bytes, *, chunked: bool, version: int, keep_alive: bool
) -> bytes:
    """The head to send to a client that speaks HTTP/1.`version`; `chunked` says how the body will be sent."""
    if chunked:
        added += b"Transfer-Encoding: chunked\r\n"
    if not keep_alive:
        added += b"Connection: close\r\n"
    elif version == 0:
        added += b"Connection: keep-alive\r\n"
    cuts = response.cuts
    if forward.drop_response:
        found = [match.span() for match in field_pattern(forward.drop_response).finditer(response.low)]
        cuts = cuts + found
    return b"HTTP/1.1 %d%b%b\r\n%b\r\n" % (
        response.status,
        response.reason or b" ",
        cut(response.headers, cuts),
        added,
    )


def trailer_fields(fields: bytes, drop: frozenset[bytes] = frozenset(), prefix: bytes = b"") -> bytes:
    """The trailers to pass on: none that say how the message is read or where it goes (RFC 9110, 6.5.1)."""
    kept = []
    for line in fields.split(b"\r\n")[1:]:
        name = line.partition(b":")[0].lower()
        if name not in _NEVER_TRAILERS and name not in drop and not (prefix and name.startswith(prefix)):
            kept.append(b"\r\n" + line)
    return b"".join(kept)


def interim_head(response: Response) -> bytes:
    """A 1xx head to pass on, 101 included."""
    added = b""
    if response.upgrade and response.status == 101:  # noqa: PLR2004 - Switching Protocols
        added = b"Connection: Upgrade\r\nUpgrade: " + response.upgrade + b"\r\n"
    headers = cut(response.headers, response.cuts)
    return b"HTTP/1.1 %d%b%b\r\n%b\r\n" % (response.status, response.reason or b" ", headers, added)


@lru_cache(maxsize=128)
def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


def answer_bytes(answer: Answer, request: Request | None, *, keep_alive: bool) -> bytes:
    """A whole response of our own, without its body where there must be none."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (answer.status, _reason(answer.status))]
    lines += [f"{name}: {value}\r\n".encode("latin-1") for name, value in answer.headers]
    bodiless = answer.status in (204, 304)
    if not bodiless:
        if answer.body:
            lines.append(f"Content-Type: {answer.content_type}\r\n".encode("latin-1"))
        lines.append(b"Content-Length: %d\r\n" % len(answer.body))
    if not keep_alive:
        lines.append(b"Connection: close\r\n")
    elif request is not None and request.version == 0:
        lines.append(b"Connection: keep-alive\r\n")
    lines.append(b"\r\n")
    if not bodiless and (request is None or request.method != b"HEAD"):
        lines.append(answer.body)
    return b"".join(lines)
