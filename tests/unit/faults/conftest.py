"""A server that misbehaves on purpose: what the load client is held to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from tests.faults.load import Client, Ledger, Target

DEADLINE_S = 0.5
Answer = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Asked:
    """One request, and all before it on any connection."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    before: list[Asked] = field(default_factory=list)

    @property
    def call_id(self) -> str:
        return dict(self.headers).get("x-call-id", "call-made-here")

    def echo(self) -> bytes:
        return json.dumps(
            {
                "method": self.method,
                "path": self.path,
                "headers": self.headers,
                "body": self.body.decode(),
                "body_bytes": len(self.body),
            }
        ).encode()

    def head(self, length: int, status: int = 200, *fields: str) -> bytes:
        lines = (
            f"HTTP/1.1 {status} X",
            "Content-Type: application/json",
            f"X-Call-Id: {self.call_id}",
            f"Content-Length: {length}",
            *fields,
        )
        return "\r\n".join([*lines, "", ""]).encode()


async def well(asked: Asked, writer: asyncio.StreamWriter) -> None:
    body = asked.echo()
    writer.write(asked.head(len(body)) + body)


class Server:
    """Answers as `answer` does, which a test replaces."""

    def __init__(self) -> None:
        self.answer: Answer = well
        self.asked: list[Asked] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                asked = await self._read(reader)
                self.asked.append(asked)
                await self.answer(asked, writer)
                if writer.is_closing():
                    return
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Asked:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
        body = await reader.readexactly(int(dict(headers).get("content-length", 0)))
        return Asked(method, path, headers, body, list(self.asked))


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    it = Server()
    listening = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    it.address = listening.sockets[0].getsockname()
    yield it
    listening.close()
    for writer in it.writers:
        writer.transport.abort()
    await listening.wait_closed()


@pytest.fixture
async def client(server, ledger) -> AsyncIterator[Client]:
    it = Client(Target(*server.address, "", DEADLINE_S), ledger, "test")
    yield it
    it.close()
