import asyncio

import pytest

from aether.http import Outcome

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"


async def test_deadline_before_the_head(relay, backend, handler, connect):
    handler.options["deadline_at"] = asyncio.get_running_loop().time() + 0.2
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    assert (await client.response())[1] == b"deadline wait"
    await upstream.head()
    assert await upstream.rest() == b""
    assert (await handler.ended.get()).status == 504


async def test_slow_body_is_answered_with_408(relay, backend, handler, connect):
    client = await connect(await relay(body_idle_timeout_s=0.2))
    client.send(POST[:-1])
    assert (await client.response())[0].startswith(b"HTTP/1.1 408 ")
    assert await client.rest() == b""


async def test_slow_head_is_answered_with_408_and_an_idle_connection_closed_silently(relay, handler, connect):
    started = await relay(head_timeout_s=0.2, keepalive_timeout_s=0.2)
    idle, slow = await connect(started), await connect(started)
    slow.send(GET[:-2])
    assert (await slow.response())[0].startswith(b"HTTP/1.1 408 ")
    assert await slow.rest() == b""
    assert await idle.rest() == b""


async def test_silent_stream_is_cut(relay, backend, handler, connect):
    handler.options["idle_timeout_s"] = 0.2
    client = await connect(await relay())
    client.send(GET)
    (await backend.peer()).send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    await client.head()
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert (await handler.ended.get()).outcome is Outcome.CUT_IDLE


async def test_long_stream_is_cut(relay, backend, handler, connect):
    handler.options.update(idle_timeout_s=60, max_stream_s=0.2)
    client = await connect(await relay())
    client.send(GET)
    (await backend.peer()).send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    await client.head()
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert (await handler.ended.get()).outcome is Outcome.CUT_MAX_STREAM


async def test_the_deadline_holds_when_the_bodys_own_limit_would_have_come_first(
    relay, backend, connect, handler
):
    handler.options["deadline_at"] = asyncio.get_running_loop().time() + 0.6
    client = await connect(await relay(body_idle_timeout_s=0.3))
    client.send(POST[:-1])
    await (await backend.peer()).head()
    client.send(POST[-1:])
    async with asyncio.timeout(3):
        assert (await client.response())[1] == b"deadline wait"
