"""One request and what becomes of it: the state that the two connections of a request share."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from aether.http.body import chunk, last_chunk
from aether.http.heads import CONTINUE, answer_bytes, interim_head, request_head, response_head
from aether.http.messages import Answer, Failure, FailureKind, Forward, Outcome, Phase, Undelivered
from aether.http.request import Request
from aether.http.response import Response
from aether.http.watch import NEVER

if TYPE_CHECKING:
    from aether.http.client import ClientConnection
    from aether.http.upstream import UpstreamConnection

_MAX_INTERIM = 16

Decision = Forward | Answer | Awaitable[Forward | Answer]


class Exchange:
    """A request from its head to its end. What a handler may read has a public name.

    Times are perf_counter seconds, 0.0 while not reached: `forwarded_at` the last time the head was sent,
    `head_at` the response's head, `ended_at`. `bytes_in` and `bytes_out` count body payload. `status` is what
    the client was sent, 0 when nothing was.
    """

    __slots__ = (
        "_chunked_out",
        "_kept",
        "_kept_bytes",
        "_max_body",
        "_own_outcome",
        "_relay",
        "_replayable",
        "_stream_until",
        "_task",
        "attempts",
        "bytes_in",
        "bytes_out",
        "client",
        "connection",
        "context",
        "ended_at",
        "forward",
        "forwarded_at",
        "head_at",
        "interims",
        "keep_alive",
        "outcome",
        "phase",
        "request",
        "request_complete",
        "status",
        "touched",
        "upgraded",
    )

    def __init__(self, client: "ClientConnection", request: Request) -> None:
        self.client = client
        self.request = request
        self.forward: Forward | None = None
        self.context: object = None
        self.attempts = 0
        self.phase = Phase.DECIDE
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.forwarded_at = 0.0
        self.head_at = 0.0
        self.ended_at = 0.0
        self.outcome: Outcome | None = None
        self.upgraded = False
        self.connection: UpstreamConnection | None = None
        self.request_complete = request.length == 0
        self.keep_alive = request.keep_alive
        self.touched = 0.0
        self.interims = 0
        self._relay = client.relay
        self._task: asyncio.Task[None] | None = None
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._replayable = True
        self._max_body = client.relay.limits.max_body_bytes
        self._chunked_out = False
        self._stream_until = NEVER
        self._own_outcome = Outcome.ANSWERED

    @property
    def received_at(self) -> float:
        return self.request.received_at

    # Deciding

    def begin(self) -> None:
        """Ask the handler, and do as it says."""
        length = self.request.length
        if self._max_body is not None and length is not None and length > self._max_body:
            self.refuse(413, "request body too large")
            return
        try:
            decision = self._relay.handler.begin(self.request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            self._handler_failed(error)
            return
        self._act(decision)

    def _act(self, decision: Decision) -> None:
        if isinstance(decision, Forward):
            self._send(decision)
        elif isinstance(decision, Answer):
            self.answer(decision, self._own_outcome)
        else:
            self.phase = Phase.DECIDE
            self.client.due_at = NEVER
            self._task = self._relay.supervisor.start(self._decide(decision))

    async def _decide(self, decision: Awaitable[Forward | Answer]) -> None:
        try:
            decided = await decision
        except asyncio.CancelledError as error:
            if self.outcome is None:  # not ours: something inside the handler was cancelled
                self._handler_failed(error)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            self._handler_failed(error)
            return
        self._task = None
        if self.outcome is None:
            self._act(decided)

    def _handler_failed(self, error: BaseException) -> None:
        self._task = None
        self._relay.report("A handler failed", error)
        self.fail(FailureKind.HANDLER, type(error).__name__)

    # Sending the request

    def _send(self, forward: Forward) -> None:
        self.forward = forward
        self.context = forward.context
        self.attempts += 1
        if forward.max_body_bytes is not None:
            self._max_body = min(forward.max_body_bytes, self._max_body or forward.max_body_bytes)
            if max(self.request.length or 0, self.bytes_in) > self._max_body:
                self.refuse(413, "request body too large")
                return
        if self.attempts > self._relay.limits.max_attempts:
            self.fail(FailureKind.UNREACHABLE, "too many attempts")
            return
        connection = self._relay.pool.take(forward.upstream, look=not self.request.idempotent)
        if connection is not None:
            self._attach(connection, forward)
        else:
            self._connect(forward)

    def _connect(self, forward: Forward) -> None:
        self.phase = Phase.CONNECT
        self.client.due_at = NEVER if forward.deadline_at is None else forward.deadline_at
        self._task = self._relay.supervisor.start(self._connected(forward))

    async def _connected(self, forward: Forward) -> None:
        try:
            connection = await self._relay.pool.connect(forward.upstream)
        except OSError as error:
            self._task = None
            if self.outcome is None:
                self.undelivered(Undelivered("connect", str(error) or type(error).__name__))
            return
        self._task = None
        if self.outcome is None:
            self._attach(connection, forward)
        else:
            connection.transport.abort()

    def _attach(self, connection: "UpstreamConnection", forward: Forward) -> None:
        self.connection = connection
        self.phase = Phase.WAIT
        connection.exchange = self
        client = self.client
        client.due_at = NEVER if forward.deadline_at is None else forward.deadline_at
        data = request_head(self.request, forward, client.scheme)
        if self._kept:
            data += b"".join(self._kept)
            self._forget_oversize()
        if not self.request_complete:
            client.let_read()
            if self.request.expects_continue and self.bytes_in == 0 and self.attempts == 1:
                client.transport.write(CONTINUE)
            self._touch_body()
        self.forwarded_at = time.perf_counter()
        connection.transport.write(data)

    def body(self, payload: bytes, *, done: bool, trailers: bytes = b"") -> None:
        """Take the next piece of the request's body from the client."""
        self.bytes_in += len(payload)
        if self._max_body is not None and self.bytes_in > self._max_body:
            self.refuse(413, "request body too large")
            return
        if self.request.length is None:
            payload = chunk(payload) + (last_chunk(trailers) if done else b"")
        self.request_complete = done
        if self._replayable:
            self._kept.append(payload)
            self._kept_bytes += len(payload)
        if self.connection is None:
            if self._kept_bytes > self._relay.limits.replay_bytes:
                self.client.hold()
            return
        self._forget_oversize()
        self._touch_body()
        self.connection.transport.write(payload)

    def _forget_oversize(self) -> None:
        if self._kept_bytes > self._relay.limits.replay_bytes:
            self._replayable = False
            self._kept.clear()
            self._kept_bytes = 0

    def _touch_body(self) -> None:
        self.touched = self._relay.loop.time()
        if self.phase is Phase.WAIT and not self.request_complete:
            deadline_at = self.forward.deadline_at if self.forward else None
            idle_at = self.touched + self._relay.limits.body_idle_timeout_s
            self.client.due_at = idle_at if deadline_at is None else min(deadline_at, idle_at)

    # Passing the response on

    def interim(self, response: Response) -> None:
        """Pass a 1xx on, to those who know what it is; our own 100 has been sent already."""
        self.interims += 1
        if self.interims > _MAX_INTERIM:
            self.fail(FailureKind.MALFORMED, "too many interim responses")
        elif self.request.version and response.status != 100:  # noqa: PLR2004 - Continue
            self.client.transport.write(interim_head(response))

    def respond(self, response: Response, payload: bytes, *, done: bool, trailers: bytes = b"") -> None:
        """Pass the head on, with what of the body came with it."""
        forward = self.forward
        assert forward is not None
        self.phase = Phase.STREAM
        self.status = response.status
        self.head_at = time.perf_counter()
        self._replayable = False
        self._kept.clear()
        added = forward.response_headers
        if not isinstance(added, bytes):
            try:
                added = added(self)
            except Exception as error:  # noqa: BLE001 - the response matters more than what we add to it
                self._relay.report("A handler failed", error)
                added = b""
        version = self.request.version
        framed = response.length is not None and response.length >= 0
        self._chunked_out = not framed and version == 1
        if not self.request_complete or self._relay.draining or not (framed or version):
            self.keep_alive = False
        head = response_head(
            response, added, chunked=self._chunked_out, version=version, keep_alive=self.keep_alive
        )
        if not done:
            now = self.touched = self._relay.loop.time()
            self._stream_until = NEVER if forward.max_stream_s is None else now + forward.max_stream_s
            idle_at = NEVER if forward.idle_timeout_s is None else now + forward.idle_timeout_s
            self.client.due_at = min(idle_at, self._stream_until)
        self.stream(payload, done=done, trailers=trailers, head=head)

    def stream(self, payload: bytes, *, done: bool, trailers: bytes = b"", head: bytes = b"") -> None:
        """Pass on the next piece of the response's body, in one write."""
        self.bytes_out += len(payload)
        self.touched = self._relay.loop.time()
        if self._chunked_out:
            payload = chunk(payload) + (last_chunk(trailers) if done else b"")
        self.client.transport.write(head + payload)
        if done:
            self._end(Outcome.COMPLETED)

    # What can go wrong

    def undelivered(self, why: Undelivered) -> None:
        """Nothing of the request reached a function: ask the handler again."""
        self._own_outcome = Outcome.FAILED
        if not self._replayable:
            self.fail(FailureKind.UNREACHABLE, why.detail)
            return
        try:
            decision = self._relay.handler.undelivered(self, why)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            self._handler_failed(error)
            return
        self._act(decision)

    def broken(self, detail: str, *, answered: bool, reused: bool) -> None:
        """The upstream's connection is gone; `answered` if any byte of a response had come."""
        self.connection = None
        if self.phase is Phase.STREAM:
            self.cut(Outcome.UPSTREAM_BROKEN)
        elif reused and not answered and self._may_retry and self.forward is not None:
            # It was most likely closed while it lay idle; the others to there are no younger.
            self._relay.pool.forget(self.forward.upstream)
            self._connect(self.forward)
        else:
            self.fail(FailureKind.BROKEN, detail)

    @property
    def _may_retry(self) -> bool:
        return self._replayable and self.request.idempotent

    def fail(self, kind: FailureKind, detail: str = "") -> None:
        """No response's head will come: let the handler word the answer."""
        failure = Failure(kind, self.phase, detail, self._may_retry and kind is FailureKind.BROKEN)
        self._drop_upstream()
        self._own_outcome = Outcome.FAILED
        try:
            decision: Decision = self._relay.handler.failed(self, failure)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            self._relay.report("A handler failed", error)
            decision = Answer(500, close=True)
        if isinstance(decision, Forward) and not failure.may_retry:
            decision = Answer(502, close=True)
        self._act(decision)

    def refuse(self, status: int, reason: str) -> None:
        """The client's own fault."""
        if self.phase is Phase.STREAM:
            self.cut(Outcome.CUT_BODY)
            return
        self._drop_upstream()
        answer = self._relay.handler.refused(self.request, status, reason)
        answer.close = True
        self.answer(answer, Outcome.REFUSED)

    def answer(self, answer: Answer, outcome: Outcome) -> None:
        """Answer here, in one write."""
        self.status = answer.status
        if answer.context is not None:
            self.context = answer.context
        if answer.close or not self.request_complete or self._relay.draining:
            self.keep_alive = False
        data = answer_bytes(answer, self.request, keep_alive=self.keep_alive)
        self.bytes_out += len(answer.body)
        self.client.transport.write(data)
        self._end(outcome)

    def due(self, now: float) -> None:
        """A time limit may have passed."""
        forward = self.forward
        if forward is None:
            self.client.due_at = NEVER
        elif self.phase is Phase.STREAM:
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

    def cut(self, outcome: Outcome) -> None:
        """Break off after the head, in a way that no client can take for the end."""
        self._drop_upstream()
        self.keep_alive = False
        self.client.reset()
        self._end(outcome)

    def gone(self, outcome: Outcome = Outcome.CLIENT_GONE) -> None:
        """Nobody waits for the answer any more."""
        self._drop_upstream()
        self.keep_alive = False
        self._end(outcome)

    def _drop_upstream(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
        if self.connection is not None:
            connection, self.connection = self.connection, None
            connection.abandon()

    def _end(self, outcome: Outcome) -> None:
        if self.outcome is not None:
            return
        self.phase = Phase.END
        self.outcome = outcome
        self.ended_at = time.perf_counter()
        self._kept.clear()
        self.client.exchange_ended(self)
        self._relay.exchange_ended(self)

    # Upgrades

    def upgrade(self, response: Response, rest: bytes) -> None:
        """Let the two connections talk to each other."""
        connection = self.connection
        assert connection is not None
        self.connection = None
        self.upgraded = True
        self.status = response.status
        self.head_at = time.perf_counter()
        self.client.transport.write(interim_head(response) + rest)
        self.bytes_out += len(rest)
        self.client.upgrade(self, connection.transport)

    def tunnel_ended(self, outcome: Outcome) -> None:
        """The tunnel that this request became has ended."""
        if self.outcome is None:
            self.phase = Phase.END
            self.outcome = outcome
            self.ended_at = time.perf_counter()
            self._relay.exchange_ended(self)
