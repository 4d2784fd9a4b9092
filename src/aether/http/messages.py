"""What a handler says to the relay, and what the relay says back."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aether.http.exchange import Exchange


class Upstream(NamedTuple):
    """Where a server listens: TCP host and port, or a Unix socket's path. Connections are pooled by it."""

    host: str = ""
    port: int = 0
    path: str = ""
    tls: bool = False
    """It speaks TLS, by the contexts of `Relay(tls=...)`."""

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


# Not frozen: these are made once per request, and a frozen one takes three times as long to make.
@dataclass(slots=True)
class Forward:
    """Send the request on to `upstream` as `target`.

    add_headers: whole fields, each ending with CRLF, that are set on the request.
    drop: lower-case names of fields taken off the request first; a small number of different sets, ever.
    deadline_at: loop.time() by which the response's head must be there; None for none.
    idle_timeout_s, max_stream_s: from the head on, the longest silence both ways, and the longest in all.
    max_body_bytes: narrows the relay's own limit.
    response_headers: fields to set on the response, or what makes them when its head comes.
    drop_response_prefix: lower-case; fields whose names begin so are taken off the response, trailers too.
    drop_response: lower-case names of further fields taken off the response.
    upstream_may_refuse: a 503, 401 or 403 with X-Aether-Refused means that the request was never delivered,
        a 502 with X-Aether-Unanswered that it was, for nothing. False where it is somebody's function.
    upstream_continues: the upstream itself says whether a body that waits for it (Expect: 100-continue) shall
        come; otherwise we do, as soon as there is an upstream.
    context: anything; found again on the exchange.
    """

    upstream: Upstream
    target: bytes
    add_headers: bytes = b""
    drop: frozenset[bytes] = frozenset()
    deadline_at: float | None = None
    idle_timeout_s: float | None = None
    max_stream_s: float | None = None
    max_body_bytes: int | None = None
    response_headers: "bytes | Callable[[Exchange], bytes]" = b""
    drop_response_prefix: bytes = b"x-aether-"
    drop_response: frozenset[bytes] = frozenset()
    upstream_may_refuse: bool = True
    upstream_continues: bool = False
    context: object = None


@dataclass(slots=True)
class Answer:
    """Answer here. `close` ends the client's connection afterwards; `context` replaces the exchange's own."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False
    context: object = None


class FailureKind(StrEnum):
    """Why a request that was taken got no response's head."""

    BROKEN = "broken"
    """The upstream closed or broke the connection; it may have seen the request."""
    MALFORMED = "malformed"
    """The upstream answered, but not HTTP as it must be."""
    DEADLINE = "deadline"
    BODY_TIMEOUT = "body_timeout"
    """The client sent its body too slowly: 408."""
    UNREACHABLE = "unreachable"
    """No attempt is left, or the body can't be sent again, and nothing was delivered."""
    UNANSWERED = "unanswered"
    """The upstream answered 502 with `X-Aether-Unanswered`: the one behind it may have seen the request, and
    gave no byte of an answer. `Handler.failed` may return None: that 502 is passed on then."""
    STOPPING = "stopping"
    """The relay ends, and waits no longer."""
    HANDLER = "handler"
    """The handler itself raised; the error was reported to the loop."""


class Phase(StrEnum):
    """Where a request stands."""

    DECIDE = "decide"
    CONNECT = "connect"
    WAIT = "wait"
    """Sent, as far as it came in; waiting for the response's head."""
    STREAM = "stream"
    END = "end"


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong. `may_retry`: idempotent, and all of the request could be sent again."""

    kind: FailureKind
    phase: Phase
    detail: str = ""
    may_retry: bool = False


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Why nothing was delivered. Its kinds:

    - `connect`: there is nobody, or nobody answers;
    - `refused`: the upstream takes no request now (detail: draining, full);
    - `barred`: it takes none of ours: TLS was not agreed on, or it wants a key that it was not shown.
    """

    kind: str
    detail: str


class Outcome(StrEnum):
    """How a request ended."""

    COMPLETED = "completed"
    """The upstream's whole response was passed on."""
    ANSWERED = "answered"
    """The handler's own answer."""
    REFUSED = "refused"
    """The relay's refusal: malformed, or over a limit."""
    FAILED = "failed"
    """Answered for the upstream, by Handler.failed."""
    CLIENT_GONE = "client_gone"
    UPSTREAM_BROKEN = "upstream_broken"
    """Cut: the upstream broke off after its head, or sent a malformed body."""
    CUT_IDLE = "cut_idle"
    CUT_MAX_STREAM = "cut_max_stream"
    CUT_BODY = "cut_body"
    """Cut: the request's body turned out malformed or too large after the response's head."""
    CLOSED = "closed"
    """The relay was closed."""
