"""The HTTP/1.1 server that stands in for a function: it tells who answered, and what it was sent."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httptools

READ_BYTES = 64 * 1024
BODY_LIMIT_BYTES = 1024 * 1024
"""Of a request's body that is kept for the echo; the rest is counted only."""


@dataclass(slots=True)
class Request:
    """As the parser's callbacks fill it."""

    method: str = ""
    path: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    body_bytes: int = 0
    keep_alive: bool = True

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


Answer = tuple[int, dict[str, Any]]


class _Collector:
    """Turns one connection's bytes into whole requests."""

    def __init__(self) -> None:
        self.complete: list[Request] = []
        self._request = Request()
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._request = Request()

    def on_url(self, url: bytes) -> None:
        self._request.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        request = self._request
        request.body_bytes += len(body)
        request.body += body[: BODY_LIMIT_BYTES - len(request.body)]

    def on_message_complete(self) -> None:
        self._request.method = self._parser.get_method().decode("latin-1")
        self._request.keep_alive = self._parser.should_keep_alive()
        self.complete.append(self._request)


class FunctionServer:
    """Listens on 127.0.0.1. `handle` gives the answer, or None to break the connection.

    While `freeze` holds, connections are taken and requests wait, as with a paused VM.
    """

    def __init__(self, handle: Callable[[Request], Answer | None], respond_s: float) -> None:
        self._handle = handle
        self._respond_s = respond_s
        self._running = asyncio.Event()
        self._running.set()
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
        self._running.set()

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
        collector = _Collector()
        while data := await reader.read(READ_BYTES):
            await self._running.wait()
            collector.feed(data)
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
        if delay_s > 0:
            await asyncio.sleep(delay_s)
            await self._running.wait()
        answer = self._handle(request)
        if answer is None:
            writer.transport.abort()
            return False
        writer.write(_response(*answer, keep_alive=request.keep_alive, head=request.method == "HEAD"))
        await writer.drain()
        return True

    def _begin(self) -> None:
        self.in_flight += 1
        self._idle.clear()

    def _finish(self) -> None:
        self.in_flight -= 1
        if self.in_flight == 0:
            self._idle.set()


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
