import asyncio
import hashlib
from pathlib import Path

import pytest

from aether.http import Answer


async def test_large_bodies_pass_whole_and_hold_little_memory(relay, backend, handler, connect):
    size, piece = 256 << 20, bytes(range(256)) * 4096
    client = await connect(await relay())
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    upstream = await backend.peer()
    await upstream.head()

    async def pump(peer):
        for _ in range(size // len(piece)):
            peer.send(piece)
            await peer.writer.drain()

    async def digest(peer):
        total = hashlib.blake2b()
        left = size
        while left:
            data = await peer.reader.read(1 << 18)
            total.update(data)
            left -= len(data)
        return total.digest()

    before = resident_mib()
    _, received = await asyncio.gather(pump(client), digest(upstream))
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    await client.head()
    _, returned = await asyncio.gather(pump(upstream), digest(client))
    assert received == returned
    assert resident_mib() - before < 48
    assert (await handler.ended.get()).bytes_out == size


def resident_mib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) >> 10


async def test_slow_reader_holds_the_upstream_back(relay, backend, handler, connect):
    client = await connect(await relay())
    client.writer.transport.pause_reading()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    upstream = await backend.peer()
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    upstream.send(b"x" * 50_000_000)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(upstream.writer.drain(), 0.5)
    client.writer.transport.resume_reading()
    await client.head()
    await client.exactly(50_000_000)


async def until_none_for(queue, silence_s):
    while True:
        await asyncio.wait_for(queue.get(), silence_s)


async def test_pipelining_client_that_reads_nothing_is_held_back(relay, handler, connect):
    answered = []

    def decide(request):
        answered.append(request.target)
        return Answer(200, b"x" * 200_000)

    handler.decide = decide
    client = await connect(await relay())
    client.writer.transport.pause_reading()
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(1000)))
    with pytest.raises(TimeoutError):
        await until_none_for(handler.ended, 0.3)
    assert len(answered) < 100
    client.writer.transport.resume_reading()
    for _ in range(1000):
        assert len((await client.response())[1]) == 200_000
    assert answered == [b"/%d" % number for number in range(1000)]
