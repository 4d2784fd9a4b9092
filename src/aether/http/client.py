"""A client's connection: reads requests one after the other, and keeps the others waiting."""

import asyncio
from typing import TYPE_CHECKING, cast

from aether.http.body import Body
from aether.http.ending import EndingExchange
from aether.http.flow import HeldProtocol, half_close, reset
from aether.http.handover import ROOM_FOR_FIELDS
from aether.http.heads import answer_bytes
from aether.http.neighbours import PairTransport
from aether.http.refusal import Refusal
from aether.http.request import Request
from aether.http.request_head import parse_request
from aether.http.sending import SendingExchange
from aether.http.tunnel import Tunnel
from aether.http.upstream import UpstreamConnection
from aether.http.watch import NEVER

if TYPE_CHECKING:
    from aether.http.relay import Relay

_MAX_PENDING_BYTES = 65536


class ClientConnection(HeldProtocol):
    """One connection; at any time it is idle, reading a head, in an exchange, or lingering before its end."""

    __slots__ = (
        "_body",
        "_ending",
        "_in_head",
        "_pending",
        "choked",
        "counted",
        "due_at",
        "exchange",
        "near",
        "peer",
        "relay",
        "scheme",
        "trusted",
    )

    def __init__(self, relay: "Relay") -> None:
        super().__init__()
        self.relay = relay
        self.exchange: SendingExchange | None = None
        self.near: UpstreamConnection | None = None
        """The other end, where that is another relay of this process."""
        self.peer = ("", 0)
        self.scheme = b""
        self.choked = False
        """The client reads too slowly: what is written waits in the transport, and no request is begun."""
        self.counted = False
        """Whether it holds a place in the relay's census."""
        self.trusted = False
        """A front proxy of ours: what it says of its own client is passed on."""
        self.due_at = NEVER
        self._body: Body | None = None
        self._pending = b""
        self._in_head = False
        self._ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's is one without being a subclass
        self.transport = transport
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer = (peer[0], peer[1])
        if isinstance(transport, PairTransport):
            self._meet(transport.peer.protocol)
        if self.relay.edge:
            self.scheme = b"https" if transport.get_extra_info("sslcontext") else b"http"
            self.trusted = self.relay.trusts(self.peer[0])
        self.due_at = self.relay.loop.time() + self.relay.limits.keepalive_timeout_s
        self.relay.connection_made(self)
        if self.relay.flooded:
            self._ending = True
            transport.abort()
        elif not self.counted:
            self._refuse(503, "too many connections")

    def _meet(self, caller: asyncio.BaseProtocol) -> None:
        """Requests may be handed over where this relay would not refuse what the other one has taken."""
        if isinstance(caller, UpstreamConnection):
            ours, theirs = self.relay.limits, caller.limits
            if ours.max_headers >= theirs.max_headers + ROOM_FOR_FIELDS:
                self.near, caller.near = caller, self

    @property
    def takes_requests(self) -> bool:
        """Nothing is under way here: a request may begin that did not come as bytes."""
        return not (self.exchange or self._pending or self._ending or self.choked or self.held)

    def take_request(self, request: Request) -> None:
        """Begin a request that the other end hands over."""
        request.client = self.peer
        self._begin(request)

    @property
    def idle(self) -> bool:
        """Between requests, with nothing of the next one here."""
        return self.exchange is None and not self._pending

    def connection_lost(self, _exc: Exception | None) -> None:
        self._ending = True
        self.near = None
        self.relay.departures.discard(self)
        self.relay.connection_lost(self)
        if self.exchange is not None:
            self.exchange.gone()

    def eof_received(self) -> None:
        if self.exchange is not None:
            self.exchange.gone()

    def hold(self) -> None:
        super().hold()
        if self.held and self.exchange is not None:
            self.relay.departures.add(self)

    def let_read(self) -> None:
        if self.held:
            self.relay.departures.discard(self)
            super().let_read()

    def lost_touch(self) -> None:
        """Its host went without a word."""
        self.left()

    def left(self) -> None:
        """The client has gone, as we learnt without reading from it."""
        if self.exchange is not None:
            self.exchange.gone()
        self.transport.abort()

    def pause_writing(self) -> None:
        self.choked = True
        if self.exchange is not None and self.exchange.connection is not None:
            self.exchange.connection.hold()

    def resume_writing(self) -> None:
        self.choked = False
        self._next()
        if self.exchange is not None and self.exchange.connection is not None:
            self.exchange.touched = self.relay.loop.time()
            self.exchange.connection.let_read()

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        if self._body is not None:
            self._read_body(self._body, data)
        elif self.exchange is None and not self.choked:
            # What lies pending was looked at only where it is the beginning of this very head.
            scanned = len(self._pending) if self._in_head else 0
            self._read_head(self._pending + data if self._pending else data, scanned)
        else:
            self._pending += data
            if len(self._pending) > _MAX_PENDING_BYTES:
                self.hold()

    def _read_head(self, data: bytes, scanned: int = 0) -> None:
        self._pending = b""
        try:
            request = parse_request(data, self.relay.limits, scanned, edge=self.relay.edge)
        except Refusal as refusal:
            self._refuse(refusal.status, refusal.reason)
            return
        if request is None:
            self._pending = data
            if not self._in_head:
                self._in_head = True
                self.due_at = self.relay.loop.time() + self.relay.limits.head_timeout_s
            return
        self._in_head = False
        request.client = self.peer
        self._begin(request, data[request.head_bytes :] if len(data) > request.head_bytes else b"")

    def _begin(self, request: Request, rest: bytes = b"") -> None:
        """A request's head is here, and of what follows it `rest`."""
        exchange = self.exchange = SendingExchange(self, request)
        self.relay.in_flight += 1
        if exchange.request_complete:
            self._pending = rest
        else:
            self._body = request.body()
            if rest:
                self._read_body(self._body, rest)
        if exchange.outcome is None:
            exchange.begin()

    def _read_body(self, body: Body, data: bytes) -> None:
        exchange = self.exchange
        assert exchange is not None
        try:
            payload, rest = body.feed(data)
        except Refusal as refusal:
            exchange.refuse(refusal.status, refusal.reason)
            return
        if body.done:
            self._body = None
            self._pending = rest
        if payload or body.done:
            exchange.body(payload, done=body.done, trailers=body.trailers)

    def _refuse(self, status: int, reason: str) -> None:
        answer = self.relay.handler.refused(None, status, reason)
        self.transport.write(answer_bytes(answer, None, keep_alive=False))
        self.end(linger=True)

    def exchange_ended(self, exchange: EndingExchange) -> None:
        """The response is written: go on to the next request, or end."""
        self.exchange = None
        unread = self._body is not None
        self._body = None
        if not exchange.keep_alive:
            self.end(linger=unread or bool(self._pending))
            return
        self.due_at = self.relay.loop.time() + self.relay.idle_limit_s
        if self._pending:
            self.relay.loop.call_soon(self._next)
        if self.held:
            self.let_read()

    def _next(self) -> None:
        if self.exchange is None and self._pending and not self.choked and not self._ending:
            self.let_read()
            self._read_head(self._pending)

    def end(self, *, linger: bool = False) -> None:
        """Close once all is written. Lingering reads on for a while, or a reset might lose the answer."""
        if self._ending:
            return
        self._ending = True
        self._pending = b""
        self.relay.departures.discard(self)
        limits = self.relay.limits
        self.due_at = self.relay.loop.time() + (limits.linger_s if linger else limits.keepalive_timeout_s)
        if linger and self.transport.can_write_eof() and not self.transport.is_closing():
            self.let_read()
            half_close(self.transport)
        else:
            self.transport.close()

    def reset(self) -> None:
        """Close so that the client can't take it for a regular end, whatever it has read."""
        self._ending = True
        reset(self.transport)

    def upgrade(self, exchange: EndingExchange, upstream: asyncio.Transport, first: bytes) -> None:
        """Hand both transports to a tunnel, which begins by writing `first` to the client."""
        self._ending = True
        self.exchange = None
        self.let_read()
        early, self._pending = self._pending, b""
        tunnel = Tunnel(self.relay, exchange, self.transport, upstream, first=first, early=early)
        self.relay.became_tunnel(self, tunnel)

    def due(self, now: float) -> None:
        """A time limit may have passed."""
        if self._ending or self.transport.is_closing():
            self.transport.abort()
            self.due_at = NEVER
        elif self.exchange is not None:
            self.exchange.due(now)
        elif self._in_head:
            self._refuse(408, "request head too slow")
        else:
            self.end()
