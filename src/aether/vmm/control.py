"""The worker's end of the control channel: frames over a connected unix socket."""

from __future__ import annotations

import socket
from collections.abc import Callable

from aether.vmm.connection import Connection
from aether.vmm.frames import ControlError, Frame, FrameDecoder, encode
from aether.vmm.messages import Message, read_message


class ControlChannel:
    """`on_message` gets each message in order; `on_failure` one error, when the guest breaks the
    protocol; `on_lost` is called at the end of the connection, which says nothing by itself: the
    machine's process tells its end.
    """

    def __init__(
        self, on_message: Callable[[Message], None], on_failure: Callable[[ControlError], None]
    ) -> None:
        self._on_message = on_message
        self._on_failure = on_failure
        self._decoder = FrameDecoder()
        self._failed = False
        self._connection: Connection | None = None

    @classmethod
    async def over(
        cls,
        connected: socket.socket,
        on_message: Callable[[Message], None],
        on_failure: Callable[[ControlError], None],
        on_lost: Callable[[], None],
    ) -> ControlChannel:
        """Take over a connected socket."""
        channel = cls(on_message, on_failure)
        channel._connection = await Connection.over(connected, channel._receive, on_lost)
        return channel

    def send(self, frame: Frame) -> None:
        """Queue a frame. Nothing happens when the connection is gone: its end is told elsewhere."""
        if self._connection is not None:
            self._connection.write(encode(frame))

    def abort(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.abort()

    async def close(self) -> None:
        """`abort`, and wait until the socket is closed."""
        if self._connection is not None:
            await self._connection.close()

    def _receive(self, data: bytes) -> None:
        if self._failed:
            return
        try:
            for frame in self._decoder.feed(data):
                self._on_message(read_message(frame))
        except ControlError as error:
            self._failed = True
            self.abort()
            self._on_failure(error)
