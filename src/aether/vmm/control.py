"""The worker's end of the control channel: frames over a connected unix socket.

No task of its own: the event loop calls in with bytes, and out go messages.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from aether.vmm.frames import ControlError, Frame, FrameDecoder, encode
from aether.vmm.messages import Message, read_message


class ControlChannel(asyncio.Protocol):
    """`on_message` gets each message in order; `on_failure` one error, when the guest breaks the
    protocol. The loss of the connection says nothing by itself: the machine's process tells its end.
    """

    def __init__(
        self, on_message: Callable[[Message], None], on_failure: Callable[[ControlError], None]
    ) -> None:
        self._on_message = on_message
        self._on_failure = on_failure
        self._decoder = FrameDecoder()
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()

    @classmethod
    async def over(
        cls,
        connected: socket.socket,
        on_message: Callable[[Message], None],
        on_failure: Callable[[ControlError], None],
    ) -> ControlChannel:
        """Take over a connected socket."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(on_message, on_failure), sock=connected)
        return channel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                self._on_message(read_message(frame))
        except ControlError as error:
            self.abort()
            self._on_failure(error)

    def send(self, frame: Frame) -> None:
        """Queue a frame. Nothing happens when the connection is gone: its end is told elsewhere."""
        if self._transport is not None:
            self._transport.write(encode(frame))

    def abort(self) -> None:
        """Drop the connection and what was not written."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """`abort`, and wait until the socket is closed."""
        self.abort()
        await self._lost.wait()
