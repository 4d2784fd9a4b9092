import asyncio

import pytest

from aether.http import Outcome

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_drain_ends_running_requests_and_refuses_new_ones(relay, backend, handler, connect):
    started = await relay()
    idle, busy = await connect(started), await connect(started)
    busy.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    upstream = await backend.peer()
    await upstream.head()
    drained = asyncio.ensure_future(started.drain(10))
    assert await idle.rest() == b""
    assert started.in_flight == 1
    with pytest.raises(OSError):
        await connect(started)
    upstream.send(OK)
    head, body = await busy.response()
    assert (b"Connection: close" in head, body) == (True, b"ok")
    assert await drained
    assert started.in_flight == 0


async def test_drain_that_runs_out_of_time_says_so_and_close_cuts(relay, backend, handler, connect):
    started = await relay()
    client = await connect(started)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await backend.peer()
    assert not await started.drain(0.1)
    await started.close()
    assert (await handler.ended.get()).outcome is Outcome.CLOSED
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_connection_that_was_idle_takes_one_more_request_within_its_grace(relay, backend, connect):
    started = await relay()
    client, unused = await connect(started), await connect(started)
    drained = asyncio.ensure_future(started.drain(10, idle_grace_s=0.3))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(OK)
    assert b"Connection: close" in (await client.response())[0]
    assert await unused.rest() == b""
    assert await drained
