"""How a server takes a request, hostile or not: sent as it is, and judged by what comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11

TAKEN, REFUSED = "taken", "refused"


@asynccontextmanager
async def answering() -> AsyncIterator[tuple[str, int]]:
    """A server by h11 that answers 200 once it has a whole request."""

    async def serve(reader, writer) -> None:
        request = h11.Connection(h11.SERVER)
        with contextlib.suppress(h11.RemoteProtocolError, OSError):
            while data := await reader.read(65536):
                request.receive_data(data)
                while (event := request.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                    if isinstance(event, h11.EndOfMessage):
                        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()


async def verdict(address: tuple[str, int], request: bytes) -> str:
    """Whether it was taken: answered by the server behind, and no second answer after it."""
    reader, writer = await asyncio.open_connection(*address)
    answer = b""
    try:
        writer.write(request)
        async with asyncio.timeout(4):
            with contextlib.suppress(ConnectionResetError):
                while b"\r\n\r\n" not in answer.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b""):
                    data = await reader.read(65536)
                    if not data:
                        break
                    answer += data
    except TimeoutError:
        return REFUSED
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    last = answer.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    return TAKEN if last.startswith(b"HTTP/1.1 200 ") else REFUSED
