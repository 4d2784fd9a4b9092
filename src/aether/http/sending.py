"""From the client's request to an upstream."""

import ssl
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from aether.http.body import chunk, last_chunk
from aether.http.deciding import DecidingExchange
from aether.http.handover import hand_request
from aether.http.heads import CONTINUE, interim_head, request_head, trailer_fields
from aether.http.messages import FailureKind, Forward, Outcome, Phase, Undelivered
from aether.http.pool import NoTls
from aether.http.reachability import LOST, is_unreachable
from aether.http.replay import Replay
from aether.http.request import IDEMPOTENT, Request
from aether.http.response import Response
from aether.http.watch import NEVER

if TYPE_CHECKING:
    from aether.http.client import ClientConnection
    from aether.http.upstream import UpstreamConnection

_MAX_INTERIM = 16
_NOTHING: Mapping[bytes, bytes] = MappingProxyType({})
# Looked up once: in Python 3.11 that takes longer than a call.
_DECIDE, _WAIT, _ANSWERED = Phase.DECIDE, Phase.WAIT, Outcome.ANSWERED


class SendingExchange(DecidingExchange):
    """The whole of an exchange: sends the request on, again where that is safe, and watches its time."""

    __slots__ = ("_continued", "_interims", "_sent")

    def __init__(self, client: "ClientConnection", request: Request) -> None:
        relay = client.relay
        self.request = request
        self.request_complete = complete = request.length == 0
        self.forward = self.context = self.outcome = None
        self.phase = _DECIDE
        self.taken_off = _NOTHING
        self.attempts = self.status = self.bytes_in = self.bytes_out = 0
        self.forwarded_at = self.head_at = self.ended_at = self.touched = 0.0
        self.upgraded = self._chunked_out = False
        self.client = client
        self.keep_alive = request.keep_alive
        self.connection = self._task = None
        self._relay = relay
        self._replay = None if complete else Replay(relay.limits.replay_bytes)
        self._max_body = relay.limits.max_body_bytes
        self._own_outcome = _ANSWERED
        self._stream_until = NEVER
        self._interims = 0
        self._continued = False
        """The client was told to send its body: once, however many upstreams are tried."""
        self._sent = False
        """The connect under way is for an upstream that may have seen the request already."""

    def _send(self, forward: Forward) -> None:
        request, relay = self.request, self._relay
        self.forward = forward
        self.context = forward.context
        self.attempts += 1
        if forward.max_body_bytes is not None and request.length != 0:
            if self._max_body is None or forward.max_body_bytes < self._max_body:
                self._max_body = forward.max_body_bytes
            if max(request.length or 0, self.bytes_in) > self._max_body:
                self.refuse(413, "request body too large")
                return
        if self.attempts > relay.limits.max_attempts:
            self.fail(FailureKind.UNREACHABLE, "too many attempts")
            return
        look = request.length != 0 or request.method not in IDEMPOTENT
        connection = relay.pool.take(forward.upstream, look=look)
        if connection is not None:
            self._attach(connection, forward)
        else:
            self._connect(forward)

    def _connect(self, forward: Forward) -> None:
        self.phase = Phase.CONNECT
        self.client.due_at = NEVER if forward.deadline_at is None else forward.deadline_at
        self._task = self._relay.supervisor.start(self._connected(forward))

    async def _connected(self, forward: Forward) -> None:
        sent, self._sent = self._sent, False
        try:
            connection = await self._relay.pool.connect(forward.upstream)
        except OSError as error:
            self._task = None
            if self.outcome is not None:
                return
            detail = LOST if is_unreachable(error) else str(error) or type(error).__name__
            if sent:
                self.fail(FailureKind.BROKEN, detail)
            else:
                barred = _is_about_tls(error, forward)
                self.undelivered(Undelivered("barred" if barred else "connect", detail))
            return
        self._task = None
        if self.outcome is None:
            self._attach(connection, forward)
        else:
            connection.transport.abort()

    def _attach(self, connection: "UpstreamConnection", forward: Forward) -> None:
        self.connection = connection
        self.phase = _WAIT
        connection.exchange = self
        client = self.client
        client.due_at = NEVER if forward.deadline_at is None else forward.deadline_at
        if connection.near is not None and self._hand_on(connection, forward):
            return
        data = request_head(self.request, forward, client.scheme, trusted=client.trusted)
        if self._replay is not None and self._replay.size_bytes:
            data += self._replay.sent()
        if not self.request_complete:
            client.let_read()
            if not forward.upstream_continues:
                self._continue()
            self._touch_body()
        self.forwarded_at = time.perf_counter()
        connection.transport.write(data)

    def _hand_on(self, connection: "UpstreamConnection", forward: Forward) -> bool:
        """To a relay of this process, if it can take the request over as it is understood here."""
        self.forwarded_at = time.perf_counter()
        try:
            return hand_request(self, connection, forward)
        except Exception as error:  # noqa: BLE001 - as on a socket: it costs the connection between them
            self._relay.report("A neighbour failed", error)
            connection.abandon()
            self.broken("the neighbour failed", answered=False, reused=False)
            return True

    def _continue(self) -> None:
        """Have the client send its body, if it waits to be told so."""
        if self.request.expects_continue and self.bytes_in == 0 and not self._continued:
            self._continued = True
            self.client.transport.write(CONTINUE)

    def body(self, payload: bytes, *, done: bool, trailers: bytes = b"") -> None:
        """Take the next piece of the request's body from the client."""
        self.bytes_in += len(payload)
        if self._max_body is not None and self.bytes_in > self._max_body:
            self.refuse(413, "request body too large")
            return
        if self.request.length is None:
            payload = chunk(payload) + (last_chunk(trailer_fields(trailers)) if done else b"")
        self.request_complete = done
        replay = self._replay
        assert replay is not None
        replay.add(payload)
        if self.connection is None:
            if replay.full:
                self.client.hold()
            return
        if replay.full:
            replay.end()
        self._touch_body()
        self.connection.transport.write(payload)

    def _touch_body(self) -> None:
        self.touched = self._relay.loop.time()
        if self.phase is Phase.WAIT and not self.request_complete:
            deadline_at = self.forward.deadline_at if self.forward else None
            idle_at = self.touched + self._relay.limits.body_idle_timeout_s
            self.client.due_at = idle_at if deadline_at is None else min(deadline_at, idle_at)

    def interim(self, response: Response) -> None:
        """Pass a 1xx on, to those who know what it is; 100 only where the client waits for it still."""
        self._interims += 1
        if self._interims > _MAX_INTERIM:
            self.fail(FailureKind.MALFORMED, "too many interim responses")
        elif response.status == 100:  # noqa: PLR2004 - Continue
            self._continue()
        elif self.request.version:
            self.client.transport.write(interim_head(response))

    def broken(self, detail: str, *, answered: bool, reused: bool) -> None:
        """The upstream's connection is gone; `answered` if any byte of a response had come."""
        self.connection = None
        if self.phase is Phase.STREAM:
            self.cut(Outcome.UPSTREAM_BROKEN)
        elif reused and not answered and self._may_retry and self.forward is not None:
            # It was most likely closed while it lay idle; the others to there are no younger.
            self._relay.pool.forget(self.forward.upstream)
            self._sent = True
            self._connect(self.forward)
        else:
            self.fail(FailureKind.BROKEN, detail)

    def due(self, now: float) -> None:
        """A time limit may have passed."""
        forward = self.forward
        self.client.due_at = NEVER
        if forward is None:
            return
        if self.phase is Phase.STREAM:
            idle_at = NEVER if forward.idle_timeout_s is None else self.touched + forward.idle_timeout_s
            if self._stream_until <= now:
                self.cut(Outcome.CUT_MAX_STREAM)
            elif idle_at <= now:
                self.cut(Outcome.CUT_IDLE)
            else:
                self.client.due_at = min(idle_at, self._stream_until)
        elif forward.deadline_at is not None and forward.deadline_at <= now:
            self.fail(FailureKind.DEADLINE)
        elif self.phase is Phase.WAIT and not self.request_complete:
            if self.client.held:
                self._touch_body()  # it is the upstream that doesn't read
            else:
                self.fail(FailureKind.BODY_TIMEOUT)
        elif forward.deadline_at is not None:
            self.client.due_at = forward.deadline_at  # it was the body's limit, and the body is here now


def _is_about_tls(error: OSError, forward: Forward) -> bool:
    """Who does not like a certificate may also just hang up."""
    hung_up = forward.upstream.tls and isinstance(error, ConnectionResetError | ConnectionAbortedError)
    return hung_up or isinstance(error, ssl.SSLError | NoTls)
