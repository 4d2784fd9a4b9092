"""A gibibyte up and down through both hops, in little memory."""

import asyncio
import hashlib
from pathlib import Path

import pytest

MIB = 1 << 20
PIECE = bytes(range(256)) * 1024


def resident_mib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) >> 10


async def pump(peer, size: int) -> None:
    for _ in range(size // len(PIECE)):
        peer.send(PIECE)
        await peer.writer.drain()


async def digest(peer, size: int) -> bytes:
    total = hashlib.blake2b()
    while size:
        data = await peer.reader.read(min(size, 1 << 18))
        assert data, f"{size} bytes are missing"
        total.update(data)
        size -= len(data)
    return total.digest()


async def highest(stop: asyncio.Event) -> int:
    """The most that was resident until `stop`, looked at every 20 ms."""
    most = 0
    while not stop.is_set():
        most = max(most, resident_mib())
        await asyncio.sleep(0.02)
    return most


@pytest.mark.slow
@pytest.mark.parametrize(
    "neighbours", [False, True], ids=["between processes", "in one process"], indirect=True
)
async def test_a_gibibyte_passes_up_and_down_in_flat_memory(hops):
    size = 1024 * MIB
    both = await hops()
    client = await both.connect()
    client.send(b"POST /functions/hello HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    function = await both.function()
    await function.head()
    before, stop = resident_mib(), asyncio.Event()
    watching = asyncio.ensure_future(highest(stop))
    _, up = await asyncio.gather(pump(client, size), digest(function, size))
    function.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    await client.head()
    _, down = await asyncio.gather(pump(function, size), digest(client, size))
    stop.set()
    grown = await watching - before
    print(f"resident memory grew by {grown} MiB")
    assert up == down
    assert grown < 32
