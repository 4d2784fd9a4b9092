"""Back pressure: a connection that can be told to read no more for now; and its hard end."""

import asyncio
import socket
import struct

_LINGER_OFF = struct.pack("ii", 1, 0)


class HeldProtocol(asyncio.Protocol):
    """A protocol with its transport, and whether the reading of it is held."""

    __slots__ = ("held", "transport")

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.held = False

    def hold(self) -> None:
        """Read no more for now."""
        if not self.held and not self.transport.is_closing():
            self.held = True
            self.transport.pause_reading()

    def let_read(self) -> None:
        """Read on."""
        if self.held and not self.transport.is_closing():
            self.held = False
            self.transport.resume_reading()


def reset(transport: asyncio.Transport) -> None:
    """Abort with a reset, where the address family has one: an end of file could pass for the body's end."""
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.family != socket.AF_UNIX:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
    transport.abort()


def half_close(transport: asyncio.WriteTransport) -> None:
    """Write no more, and go on reading; nothing more where the other side has gone already.

    The standard library's transports shut the socket down at once, and raise if it was reset.
    """
    try:
        transport.write_eof()
    except OSError:
        transport.abort()
