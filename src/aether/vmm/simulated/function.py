"""The HTTP/1.1 server that stands in for a function: it tells who answered, and what it was sent."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import httptools

from aether.vmm.simulated.reactions import Broken, Half, Reaction
from aether.vmm.simulated.requests import Collector, Request

READ_BYTES = 64 * 1024


class FunctionServer:
    """Listens on 127.0.0.1. `handle` says what to do with a request; `arrived` hears of each as it comes.

    While `freeze` holds, connections are taken and requests wait, as with a paused VM; `hang` is for good.
    """

    def __init__(
        self,
        handle: Callable[[Request], Reaction],
        respond_s: float,
        arrived: Callable[[Request], None] = lambda _request: None,
    ) -> None:
        self._handle = handle
        self._arrived = arrived
        self._respond_s = respond_s
        self._running = asyncio.Event()
        self._running.set()
        self._hangs = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.in_flight = 0
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def listen(self) -> tuple[str, int]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return str(host), int(port)

    def freeze(self) -> None:
        self._running.clear()

    def thaw(self) -> None:
        if not self._hangs:
            self._running.set()

    def hang(self) -> None:
        """Nothing is answered any more."""
        self._hangs = True
        self._running.clear()

    async def wait_idle(self) -> None:
        """Until no request is being answered."""
        await self._idle.wait()

    def abort(self) -> None:
        """Stop listening and break every connection, as a dying VM does."""
        if self._server is not None:
            self._server.close()
        for task, writer in self._connections.items():
            writer.transport.abort()
            task.cancel()

    async def close(self) -> None:
        """`abort`, and wait for what it ended."""
        self.abort()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            await self._answer_all(reader, writer)
        except (ConnectionError, httptools.HttpParserError, httptools.HttpParserUpgrade):
            pass
        finally:
            self._connections.pop(task, None)
            writer.close()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        collector = Collector()
        while data := await reader.read(READ_BYTES):
            collector.feed(data)
            for request in collector.complete:
                if not _is_probe(request):
                    self._arrived(request)
            await self._running.wait()
            while collector.complete:
                request = collector.complete.pop(0)
                self._begin()
                try:
                    answered = await self._answer(request, writer)
                finally:
                    self._finish()
                if not answered or not request.keep_alive:
                    return

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        override_ms = request.header("x-simulated-respond-ms")
        delay_s = self._respond_s if override_ms is None else float(override_ms) / 1000
        if delay_s > 0 and not _is_probe(request):
            await asyncio.sleep(delay_s)
            await self._running.wait()
        reaction = (204, {}) if _is_probe(request) else self._handle(request)
        if isinstance(reaction, Broken):
            return await self._break(reaction, writer)
        answer = reaction if isinstance(reaction, tuple) else reaction.answer
        data = _response(*answer, keep_alive=request.keep_alive, head=request.method == "HEAD")
        writer.write(data[: -len(data) // 4] if isinstance(reaction, Half) else data)
        await writer.drain()
        if isinstance(reaction, tuple):
            return True
        reaction.then()
        writer.close()
        return False

    async def _break(self, how: Broken, writer: asyncio.StreamWriter) -> bool:
        if how is Broken.HELD:
            await self._running.wait()
        if how is Broken.GARBAGE:
            writer.write(b"\x00\x01 this is no HTTP\r\n\r\n")
            await writer.drain()
        else:
            writer.transport.abort()
        return False

    def _begin(self) -> None:
        self.in_flight += 1
        self._idle.clear()

    def _finish(self) -> None:
        self.in_flight -= 1
        if self.in_flight == 0:
            self._idle.set()


def _is_probe(request: Request) -> bool:
    """Asks whether the event loop runs, as our bootstrap is asked: the function does not see it."""
    return request.header("x-aether-probe") is not None


def echo(request: Request) -> dict[str, Any]:
    """What the function was sent, as JSON; bodies that are no UTF-8 in base64."""
    try:
        body, encoding = request.body.decode(), "utf-8"
    except UnicodeDecodeError:
        body, encoding = base64.b64encode(request.body).decode(), "base64"
    return {
        "method": request.method,
        "path": request.path,
        "headers": request.headers,
        "body": body,
        "body_encoding": encoding,
        "body_bytes": request.body_bytes,
    }


def _response(status: int, document: dict[str, Any], *, keep_alive: bool, head: bool) -> bytes:
    body = json.dumps(document).encode()
    connection = "" if keep_alive else "Connection: close\r\n"
    lines = (
        f"HTTP/1.1 {status} Simulated\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{connection}\r\n"
    )
    return lines.encode() + (b"" if head else body)
