"""A TCP proxy that can cut, hold, slow and alter what goes through it: a network between two."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


class Network:
    """Forwards to a port on loopback, as long as it is there."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.refuses = False
        self.flows = asyncio.Event()
        """Cleared, nothing passes, and nobody is told."""
        self.flows.set()
        self.alter: Callable[[bytes], bytes] = bytes
        """What becomes of the bytes that come back."""
        self.bytes_per_s = 0
        """Of each direction of each connection; 0 for as many as there are."""
        self.port = 0
        self.connections = 0

    def cut(self) -> None:
        """All connections break, without a word."""
        for writer in self._writers:
            writer.transport.abort()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if self.refuses:
                return
            self.connections += 1
            there, back = await asyncio.open_connection("127.0.0.1", self._to_port)
            self._writers.add(back)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._copy(reader, back, back=False))
                    group.create_task(self._copy(there, writer, back=True))
            finally:
                self._writers.discard(back)
                back.transport.abort()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
            self._tasks.discard(task)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self.flows.wait()
                if self.bytes_per_s:
                    await asyncio.sleep(len(data) / self.bytes_per_s)
                writer.write(self.alter(data) if back else data)
                await writer.drain()
        writer.transport.abort()

    async def end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def network(to_port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Network]:
    """`tls`: what comes is TLS, and goes on as plain text."""
    it = Network(to_port)
    server = await asyncio.start_server(it.forward, "127.0.0.1", 0, ssl=tls)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()
        await it.end()
        await server.wait_closed()
