"""Noticing hosts that went without a word: no FIN and no reset comes from one without power, or cut off.

Where nothing is under way the kernel asks by itself (keepalive). Where something was sent, we look whether it
is acknowledged. TCP_USER_TIMEOUT would do that too, but it also ends connections to a host that is well and
whose program does not read for so long: it would make an error of back pressure.
"""

import asyncio
import errno
import socket
import struct
from typing import Protocol, cast

from aether.http.watch import Watch

LOST = "its host does not answer any more"
"""What became of a connection, as a Failure's detail says it."""

_LOOK_EVERY_S = 0.5
_ASK_EVERY_S = 1
_RESENT = 2
"""Times that the same was sent again before a host counts as gone: one packet may be lost anywhere."""
# struct tcp_info (linux/tcp.h): tcpi_retransmits, tcpi_last_ack_recv in milliseconds.
_TCP_INFO = struct.Struct("2xB53xI")


class Reached(Protocol):
    """The protocol of a connection that is watched."""

    def lost_touch(self) -> None:
        """The host at the other end has gone: end the connection."""
        ...


class Reachability:
    """Watches connections until they close; their number is what a look costs, a microsecond each."""

    def __init__(self, watch: Watch, silence_s: float) -> None:
        self.due_at = 0.0
        self._watch = watch
        self._silence_ms = silence_s * 1000
        self._idle_s = max(1, round(silence_s / 2))
        self._tries = max(1, round((silence_s - self._idle_s) / _ASK_EVERY_S))
        self._transports: set[asyncio.Transport] = set()

    def add(self, transport: asyncio.Transport) -> None:
        """Watch a connection over TCP; any other is passed over. Its protocol is `Reached`, at any time."""
        raw = transport.get_extra_info("socket")
        if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
            return
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, self._idle_s)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _ASK_EVERY_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, self._tries)
        if not self._transports:
            self._watch.add(self)
        self._transports.add(transport)

    def due(self, now: float) -> None:
        self.due_at = now + _LOOK_EVERY_S
        for transport in list(self._transports):
            if transport.is_closing():
                self._transports.discard(transport)
            elif self._is_lost(transport):
                self._transports.discard(transport)
                cast(Reached, transport.get_protocol()).lost_touch()
        if not self._transports:
            self._watch.discard(self)

    def _is_lost(self, transport: asyncio.Transport) -> bool:
        raw = transport.get_extra_info("socket")
        resent, silent_ms = _TCP_INFO.unpack(
            raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        )
        return bool(resent >= _RESENT and silent_ms >= self._silence_ms)


def is_unreachable(error: BaseException | None) -> bool:
    """Whether the kernel ended a connection because it heard nothing, or has no way there any more."""
    return isinstance(error, TimeoutError) or (
        isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH)
    )
