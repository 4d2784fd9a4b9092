"""Relays of one process that forward to each other: the same bytes as over a socket, without the kernel.

Where the gateway and a worker share a process, as under `aether up`, the hop between them would otherwise
cost four system calls and two wake-ups a request. Everything above the transport is as it is over TCP.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from aether.http.messages import Upstream
from aether.http.supervisor import report

_HIGH_BYTES = 65536


class Neighbours:
    """Who listens in this process, by the address that others reach it under. Of one event loop."""

    def __init__(self) -> None:
        self._listening: dict[Upstream, Callable[[], asyncio.Protocol]] = {}

    def add(self, address: Upstream, accept: Callable[[], asyncio.Protocol]) -> None:
        """Connections to `address` go to protocols that `accept` makes, until it is removed."""
        self._listening[address] = accept

    def remove(self, address: Upstream) -> None:
        self._listening.pop(address, None)

    def connect(self, address: Upstream, protocol: asyncio.Protocol) -> bool:
        """Connect `protocol` to who listens there; False when nobody of this process does."""
        accept = self._listening.get(address)
        if accept is None:
            return False
        loop = asyncio.get_running_loop()
        near, far = PairTransport(loop, protocol), PairTransport(loop, accept())
        near.peer, far.peer = far, near
        for end in (far, near):
            end.protocol.connection_made(end)
        return True


class _NoSocket:
    """What a transport without a socket says it has: a closed one."""

    family = socket.AF_UNIX

    def fileno(self) -> int:
        return -1


class PairTransport(asyncio.Transport):
    """One of two ends. What is written to one is received by the other in the loop's next turn."""

    __slots__ = (
        "_choked",
        "_loop",
        "_reading",
        "_received",
        "_scheduled",
        "closing",
        "ended",
        "peer",
        "protocol",
        "received_bytes",
    )

    peer: "PairTransport"

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        super().__init__({"socket": _NoSocket()})
        self.protocol: asyncio.Protocol = protocol
        self.received_bytes = 0
        self.ended = False
        """The other end has written its last, and that is yet to be told here."""
        self.closing = False
        self._loop = loop
        self._received: list[bytes] = []
        self._reading = True
        self._scheduled = False
        self._choked = False
        """The other end was told to pause, for what lies here."""

    # Reading

    def arrive(self, data: bytes) -> None:
        """Take what the other end has written."""
        self._received.append(data)
        self.received_bytes += len(data)
        self._schedule()
        if self.received_bytes > _HIGH_BYTES and not self._choked:
            self._choked = True
            self.peer.protocol.pause_writing()

    def end(self) -> None:
        """The other end will write no more."""
        self.ended = True
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self._reading:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        try:
            self._hand_over()
        except Exception as error:  # noqa: BLE001 - as on a socket: it costs this connection, and no other
            report(self._loop, "A protocol failed", error)
            self.lose(error)
            self.peer.lose(ConnectionResetError("the other side failed"))

    def _hand_over(self) -> None:
        if self._received and self._reading and not self.closing:
            data = self._received[0] if len(self._received) == 1 else b"".join(self._received)
            self._received, self.received_bytes = [], 0
            self.protocol.data_received(data)
            self._unchoke()
        if self.ended and not self._received and self._reading and not self.closing:
            self.ended = False
            if not self.protocol.eof_received():
                self.close()

    def _unchoke(self) -> None:
        if self._choked and not self._received and not self.peer.closing:
            self._choked = False
            self.peer.protocol.resume_writing()

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        if self._received or self.ended:
            self._schedule()

    # Writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.closing or not data:
            return
        if not self.peer.closing:
            self.peer.arrive(bytes(data))
        elif not self.ended:  # it has been told of the end, and writes on: nobody is there any more
            self.lose(BrokenPipeError("closed by the other side"))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self.peer.closing:
            self.peer.end()

    def get_write_buffer_size(self) -> int:
        return self.peer.received_bytes

    # Ending

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        """What was written still arrives."""
        if not self.closing:
            self.write_eof()
            self.lose(None)

    def abort(self) -> None:
        """The other end loses its connection too, whatever it has not read."""
        if not self.closing:
            self.lose(None)
            self.peer.lose(ConnectionResetError("aborted by the other side"))

    def lose(self, error: Exception | None) -> None:
        """Close this end."""
        if not self.closing:
            self.closing = True
            self._received, self.received_bytes = [], 0
            self._loop.call_soon(self._tell, error)

    def _tell(self, error: Exception | None) -> None:
        self.protocol.connection_lost(error)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = cast(asyncio.Protocol, protocol)
