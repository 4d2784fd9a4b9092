"""From an upstream's response to the client."""

import time

from aether.http.body import chunk, last_chunk
from aether.http.ending import EndingExchange
from aether.http.handover import may_hand_response
from aether.http.heads import interim_head, response_head, trailer_fields
from aether.http.messages import Forward, Outcome, Phase
from aether.http.response import Response
from aether.http.watch import NEVER

# Looked up once: in Python 3.11 that takes longer than a call.
_STREAM, _COMPLETED = Phase.STREAM, Outcome.COMPLETED


class RespondingExchange(EndingExchange):
    """An exchange whose response is passed on, in no more writes than it came in reads."""

    __slots__ = ("_chunked_out", "_stream_until", "touched")

    touched: float
    """loop.time() of the last byte either way."""
    _chunked_out: bool
    _stream_until: float

    def respond(self, response: Response, payload: bytes, *, done: bool, trailers: bytes = b"") -> None:
        """Pass the head on, with what of the body came with it."""
        forward, client, version = self.forward, self.client, self.request.version
        assert forward is not None
        self.phase = _STREAM
        self.status = response.status
        self.taken_off = response.taken_off
        self.head_at = time.perf_counter()
        if self._replay is not None:
            self._replay.end()
        added = forward.response_headers
        if not isinstance(added, bytes):
            try:
                added = added(self)
            except Exception as error:  # noqa: BLE001 - the response matters more than what we add to it
                self._relay.report("A handler failed", error)
                added = b""
        if response.length is None or response.length < 0:
            self._chunked_out = version == 1
            self.keep_alive = self.keep_alive and self._chunked_out
        if self._relay.draining or not self.request_complete:
            self.keep_alive = False
        near = client.near
        if near is not None and done and not added and may_hand_response(self, near, response, forward):
            self.bytes_out += len(payload)
            self._end(_COMPLETED)
            near.take_response(response, payload)
            return
        if client.choked and self.connection is not None:
            self.connection.hold()
        head = response_head(
            response, forward, added, chunked=self._chunked_out, version=version, keep_alive=self.keep_alive
        )
        if done and not self._chunked_out:  # as most often
            self.bytes_out += len(payload)
            client.transport.write(head + payload)
            self._end(_COMPLETED)
            return
        if not done:
            self._watch_stream(forward)
        self.stream(payload, done=done, trailers=trailers, head=head)

    def _watch_stream(self, forward: Forward) -> None:
        """From now on it is the stream's own limits that count."""
        now = self._relay.loop.time()
        self._stream_until = NEVER if forward.max_stream_s is None else now + forward.max_stream_s
        idle_at = NEVER if forward.idle_timeout_s is None else now + forward.idle_timeout_s
        self.client.due_at = min(idle_at, self._stream_until)

    def stream(self, payload: bytes, *, done: bool, trailers: bytes = b"", head: bytes = b"") -> None:
        """Pass on the next piece of the response's body, in one write."""
        self.bytes_out += len(payload)
        if not done:
            self.touched = self._relay.loop.time()
        if self._chunked_out:
            payload = chunk(payload) + (last_chunk(self._trailers(trailers)) if done else b"")
        self.client.transport.write(head + payload)
        if done:
            self._end(_COMPLETED)

    def _trailers(self, fields: bytes) -> bytes:
        if not fields or self.forward is None:
            return b""
        return trailer_fields(fields, self.forward.drop_response, self.forward.drop_response_prefix)

    def upgrade(self, response: Response, rest: bytes) -> None:
        """Let the two connections talk to each other."""
        connection = self.connection
        assert connection is not None
        self.connection = None
        self.upgraded = True
        self.status = response.status
        self.taken_off = response.taken_off
        self.head_at = time.perf_counter()
        self.bytes_out += len(rest)
        self.client.upgrade(self, connection.transport, interim_head(response) + rest)
