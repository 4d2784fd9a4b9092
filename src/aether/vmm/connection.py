"""A connected unix socket whose bytes go to a callback: no task of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable


class Connection(asyncio.Protocol):
    """`on_data` gets bytes as they come; `on_lost` is called once, when the connection is gone."""

    def __init__(self, on_data: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        self._on_data = on_data
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()

    @classmethod
    async def over(
        cls, connected: socket.socket, on_data: Callable[[bytes], None], on_lost: Callable[[], None]
    ) -> Connection:
        """Take over a connected socket."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_unix_connection(lambda: cls(on_data, on_lost), sock=connected)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._lost.set()
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        self._on_data(data)

    def write(self, data: bytes) -> None:
        """Queue bytes; nothing happens when the connection is gone."""
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Drop the connection and what was not written."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """`abort`, and wait until the socket is closed."""
        self.abort()
        await self._lost.wait()
