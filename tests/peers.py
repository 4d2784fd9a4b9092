"""Raw connections for tests of the relay: what is sent and what comes, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

WAIT_S = 20


class Peer:
    """One end of a raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        async with asyncio.timeout(WAIT_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(WAIT_S):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read()

    async def response(self) -> tuple[bytes, bytes]:
        """A head and its body by Content-Length."""
        head = await self.head()
        fields = dict(
            line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:] if line and b":" in line
        )
        return head, await self.exactly(int(fields.get(b"content-length", b"0")))

    async def closed(self, within_s: float) -> None:
        """Until the other side has closed or reset it."""
        async with asyncio.timeout(within_s):
            with contextlib.suppress(ConnectionResetError):
                while await self.reader.read(1 << 20):
                    pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
