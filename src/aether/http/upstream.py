"""The connection to an upstream: reads responses strictly, and is kept for the next request."""

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

from aether.http.body import Body, UntilClose
from aether.http.flow import HeldProtocol
from aether.http.limits import Limits
from aether.http.messages import FailureKind, Outcome, Undelivered, Upstream
from aether.http.neighbours import PairTransport
from aether.http.reachability import LOST, is_unreachable
from aether.http.refusal import Refusal
from aether.http.response import Response, parse_response

if TYPE_CHECKING:
    from aether.http.client import ClientConnection
    from aether.http.pool import Pool
    from aether.http.sending import SendingExchange


class UpstreamConnection(HeldProtocol):
    """One connection; `exchange` is the request it carries, None while it lies in the pool."""

    __slots__ = (
        "_answered",
        "_body",
        "_eof",
        "_keep",
        "_pending",
        "_pool",
        "exchange",
        "expires_at",
        "idle_s",
        "near",
        "reused",
        "tls",
        "upstream",
    )

    def __init__(self, pool: "Pool", upstream: Upstream) -> None:
        super().__init__()
        self._pool = pool
        self.upstream = upstream
        self.exchange: SendingExchange | None = None
        self.near: ClientConnection | None = None
        """The other end, where that is another relay of this process that takes requests over."""
        self.tls: ssl.SSLContext | None = None
        """What TLS was agreed on with."""
        self.reused = False
        self.expires_at = 0.0
        self.idle_s: int | None = None
        self._pending = b""
        self._body: Body | None = None
        self._keep = False
        self._answered = False
        self._eof = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's is one without being a subclass
        self.transport = transport

    @property
    def limits(self) -> Limits:
        """Of the relay that this connection belongs to."""
        return self._pool.limits

    def takes_response(self, head_bytes: int) -> bool:
        """Nothing is on its way here: a response with such a head may come that is no bytes."""
        transport = self.transport
        return (
            isinstance(transport, PairTransport)
            and not (transport.closing or transport.received_bytes or transport.ended)
            and not (self._pending or self._body or self.held or self._eof)
            and head_bytes < self._pool.limits.max_response_head_bytes
        )

    def take_response(self, response: Response, payload: bytes) -> None:
        """Pass a whole response on that the other end has read; it was kept alive, and told us nothing."""
        exchange = self.exchange
        assert exchange is not None
        response.taken_off = {}
        self._keep = True
        self.idle_s = None
        self._let_go(exchange, done=True)
        exchange.respond(response, payload, done=True)

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.client.hold()

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.client.let_read()

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.abandon()  # bytes that nobody asked for
        elif self._body is None:
            self._read_head(exchange, data)
        else:
            self._read_body(exchange, self._body, data)

    def _read_head(self, exchange: "SendingExchange", data: bytes) -> None:
        scanned = len(self._pending)
        if scanned:
            data = self._pending + data
            self._pending = b""
        self._answered = True
        forward = exchange.forward
        assert forward is not None
        while True:
            try:
                response = parse_response(
                    data,
                    method=exchange.request.method,
                    drop_prefix=forward.drop_response_prefix,
                    max_bytes=self._pool.limits.max_response_head_bytes,
                    scanned=scanned,
                )
            except Refusal as refusal:
                exchange.fail(FailureKind.MALFORMED, refusal.reason)
                return
            if response is None:
                self._pending = data
                return
            data = data[response.head_bytes :]
            scanned = 0
            if response.status >= 200:  # noqa: PLR2004 - not interim
                break
            if response.status == 101:  # noqa: PLR2004 - Switching Protocols
                self._upgrade(exchange, response, data)
                return
            exchange.interim(response)
            if self.exchange is None or not data:
                return
        self._begin_body(exchange, response, data)

    def _upgrade(self, exchange: "SendingExchange", response: Response, data: bytes) -> None:
        if not exchange.request.upgrade or not response.upgrade:
            exchange.fail(FailureKind.MALFORMED, "upgrade that was not asked for")
            return
        exchange.upgrade(response, data)

    def _begin_body(self, exchange: "SendingExchange", response: Response, data: bytes) -> None:
        if response.length == len(data):  # whole already, as most are: it needs no reader
            self._begun(exchange, response, data, b"", None)
            return
        body = response.body()
        try:
            payload, rest = (b"", data) if body.done else body.feed(data)
        except Refusal as refusal:
            exchange.fail(FailureKind.MALFORMED, refusal.reason)
            return
        self._begun(exchange, response, payload, rest, body)

    def _begun(
        self, exchange: "SendingExchange", response: Response, payload: bytes, rest: bytes, body: Body | None
    ) -> None:
        """Go on with a response's head and the first of its body; `body` None when that is all of it."""
        self._keep = response.keep_alive and not rest and not self._eof
        self.idle_s = response.idle_s
        done = body is None or body.done
        forward = exchange.forward
        if response.refused and forward is not None and forward.upstream_may_refuse:
            self._let_go(exchange, done=done)
            kind = "refused" if response.status == 503 else "barred"  # noqa: PLR2004
            exchange.undelivered(Undelivered(kind, response.refused.decode("latin-1")))
            return
        if response.status == 502 and self._unanswered(exchange, response, done=done):  # noqa: PLR2004
            return
        if done:
            self._let_go(exchange, done=True)
        else:
            self._body = body
        exchange.respond(response, payload, done=done, trailers=b"" if body is None else body.trailers)

    def _unanswered(self, exchange: "SendingExchange", response: Response, *, done: bool) -> bool:
        """Whether there is something better to do with a 502 than to pass it on, and then do it."""
        told = response.taken_off.get(b"x-aether-unanswered")
        forward = exchange.forward
        if told is None or forward is None or not forward.upstream_may_refuse:
            return False
        decision = exchange.unanswered(told.decode("latin-1"))
        if decision is None:
            return False
        self._let_go(exchange, done=done)
        exchange.act(decision)
        return True

    def _read_body(self, exchange: "SendingExchange", body: Body, data: bytes) -> None:
        try:
            payload, rest = body.feed(data)
        except Refusal:
            exchange.cut(Outcome.UPSTREAM_BROKEN)
            return
        if not body.done:
            if payload:
                exchange.stream(payload, done=False)
            return
        if rest:
            self._keep = False
        self._let_go(exchange, done=True)
        exchange.stream(payload, done=True, trailers=body.trailers)

    def _let_go(self, exchange: "SendingExchange", *, done: bool) -> None:
        """The exchange needs this connection no more: keep it for the next one if it is clean."""
        self._body = None
        self._answered = False
        self.exchange = None
        exchange.connection = None
        # After an early response, what is left of the request's body has nowhere to go.
        if done and self._keep and exchange.request_complete and not self.transport.is_closing():
            if self.held:
                self.let_read()
            self._pool.give(self)
        else:
            self.abandon()

    def abandon(self) -> None:
        """Close at once, whatever is under way."""
        self.exchange = None
        self._pool.discard(self)
        self.transport.abort()

    def eof_received(self) -> None:
        self._eof = True
        self._keep = False
        exchange = self.exchange
        if exchange is not None and isinstance(self._body, UntilClose):
            self._let_go(exchange, done=True)
            exchange.stream(b"", done=True)

    def lost_touch(self) -> None:
        """Its host went without a word, and the others' connections there have, or will find out."""
        self._pool.forget(self.upstream)
        self._broke(LOST)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.near = None
        if is_unreachable(exc):
            self._pool.forget(self.upstream)
            self._broke(LOST)
        else:
            self._broke(str(exc) if exc is not None else "connection closed")

    def _broke(self, detail: str) -> None:
        self._pool.discard(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            # One to a host that is gone was not just closed while it lay idle.
            exchange.broken(detail, answered=self._answered, reused=self.reused and detail != LOST)
