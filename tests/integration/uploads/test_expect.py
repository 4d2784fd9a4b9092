"""Uploads whose client asks first (Expect: 100-continue): what is refused is refused before it is sent."""

from __future__ import annotations

import asyncio

import pytest


class Client:
    """Of the management API, on a raw connection."""

    def __init__(self, platform, reader, writer):
        self._authorization = platform.client.headers["Authorization"]
        self._reader = reader
        self._writer = writer

    async def ask(self, size_bytes, *, function="hello", authorization=None):
        """The head of what is said when an archive of that size is about to come."""
        self.send(
            f"POST /api/functions/{function}/code HTTP/1.1\r\nHost: a\r\nX-Filename: code.zip\r\n"
            f"Authorization: {authorization or self._authorization}\r\n"
            f"Expect: 100-continue\r\nContent-Length: {size_bytes}\r\n\r\n".encode()
        )
        return await self.head()

    def send(self, data):
        self._writer.write(data)

    async def head(self):
        async with asyncio.timeout(10):
            return await self._reader.readuntil(b"\r\n\r\n")


@pytest.fixture
async def client(platform):
    await platform.deploy("hello")
    url = platform.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    yield Client(platform, reader, writer)
    writer.close()
    await writer.wait_closed()


async def test_archive_that_is_too_large_is_refused_before_it_is_sent(client):
    assert (await client.ask(1 << 40)).startswith(b"HTTP/1.1 413 ")


async def test_upload_of_a_stranger_is_refused_before_it_is_sent(client):
    assert (await client.ask(1000, authorization="Bearer wrong")).startswith(b"HTTP/1.1 403 ")


async def test_upload_to_no_function_is_refused_before_it_is_sent(client):
    assert (await client.ask(1000, function="nobody")).startswith(b"HTTP/1.1 404 ")


async def test_archive_that_may_come_is_asked_for(client):
    assert await client.ask(4) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"junk")
    assert (await client.head()).startswith(b"HTTP/1.1 400 ")
