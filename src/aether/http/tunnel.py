"""What an upgraded exchange becomes: bytes both ways, each way ending by itself."""

import asyncio
from typing import TYPE_CHECKING

from aether.http.flow import half_close
from aether.http.messages import Outcome
from aether.http.reachability import LOST
from aether.http.watch import NEVER

if TYPE_CHECKING:
    from aether.http.ending import EndingExchange
    from aether.http.relay import Relay


class Tunnel:
    """Two connections that talk to each other, under the stream's time limits."""

    def __init__(
        self,
        relay: "Relay",
        exchange: "EndingExchange",
        client: asyncio.Transport,
        upstream: asyncio.Transport,
        *,
        first: bytes,
        early: bytes,
    ) -> None:
        assert exchange.forward is not None
        self._relay = relay
        self.exchange = exchange
        self._idle_s = exchange.forward.idle_timeout_s
        now = self.touched_at = relay.loop.time()
        longest = exchange.forward.max_stream_s
        self._until = NEVER if longest is None else now + longest
        self.due_at = now
        self._client = TunnelEnd(self, client, upstream)
        self._upstream = TunnelEnd(self, upstream, client)
        client.set_protocol(self._client)
        upstream.set_protocol(self._upstream)
        client.write(first)
        if early:
            self._client.data_received(early)

    def passed(self, end: "TunnelEnd", size_bytes: int) -> None:
        self.touched_at = self._relay.loop.time()
        if end is self._client:
            self.exchange.bytes_in += size_bytes
        else:
            self.exchange.bytes_out += size_bytes

    def half_closed(self) -> None:
        if self._client.ended and self._upstream.ended:
            self._client.transport.close()
            self._upstream.transport.close()

    def lost(self, end: "TunnelEnd", exc: Exception | None) -> None:
        """One side is gone altogether."""
        other = self._upstream if end is self._client else self._client
        if other.lost:
            self._relay.remove_tunnel(self)
        elif exc is None:
            # What it sent last is still written to the other side, which has this long to take it.
            other.transport.close()
            self.due_at = self._relay.loop.time() + self._relay.limits.linger_s
        else:
            other.transport.abort()
        if exc is None:
            self.exchange.tunnel_ended(Outcome.COMPLETED)
        else:
            gone = end is self._client
            self.exchange.tunnel_ended(Outcome.CLIENT_GONE if gone else Outcome.UPSTREAM_BROKEN)

    def due(self, now: float) -> None:
        if self._client.lost or self._upstream.lost:
            self.abort(Outcome.COMPLETED)
            self.due_at = NEVER
            return
        idle_at = NEVER if self._idle_s is None else self.touched_at + self._idle_s
        self.due_at = min(idle_at, self._until)
        if self.due_at <= now:
            self.abort(Outcome.CUT_MAX_STREAM if self._until <= now else Outcome.CUT_IDLE)

    def abort(self, outcome: Outcome) -> None:
        self.exchange.tunnel_ended(outcome)
        self._client.transport.abort()
        self._upstream.transport.abort()


class TunnelEnd(asyncio.Protocol):
    """One side of a tunnel."""

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport, peer: asyncio.Transport) -> None:
        self.transport = transport
        self.ended = False
        self.lost = False
        self._tunnel = tunnel
        self._peer = peer

    def data_received(self, data: bytes) -> None:
        self._tunnel.passed(self, len(data))
        self._peer.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if not self._peer.is_closing():
            if self._peer.can_write_eof():
                half_close(self._peer)
            else:
                self._peer.close()  # TLS closes both ways at once
        self._tunnel.half_closed()
        return self.transport.can_write_eof()

    def pause_writing(self) -> None:
        if not self._peer.is_closing():
            self._peer.pause_reading()

    def resume_writing(self) -> None:
        if not self._peer.is_closing():
            self._peer.resume_reading()

    def lost_touch(self) -> None:
        """Its host went without a word."""
        if not self.lost:
            self.connection_lost(TimeoutError(LOST))
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lost:
            return
        self.lost = True
        self._tunnel.lost(self, exc)
