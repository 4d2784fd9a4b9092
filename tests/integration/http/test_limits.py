import asyncio

from aether.http import Outcome
from aether.http.census import Census

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_declared_body_over_the_limit_is_refused_before_it_is_read(relay, handler, connect):
    client = await connect(await relay(max_body_bytes=10))
    client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
    assert (await client.response())[0].startswith(b"HTTP/1.1 413 ")
    assert await client.rest() == b""
    assert (await handler.ended.get()).outcome is Outcome.REFUSED


async def test_chunked_body_over_the_functions_limit_is_refused(relay, backend, handler, connect):
    handler.options["max_body_bytes"] = 4
    client = await connect(await relay())
    client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    upstream = await backend.peer()
    await upstream.head()
    client.send(b"3\r\nabc\r\n")
    assert (await client.response())[0].startswith(b"HTTP/1.1 413 ")
    assert (await upstream.rest()).startswith(b"3\r\nabc")


async def test_one_connection_too_many_is_told_so(relay, backend, handler, connect):
    started = await relay(max_connections=1)
    await connect(started)
    second = await connect(started)
    assert (await second.response())[0].startswith(b"HTTP/1.1 503 ")


async def test_refusal_after_a_body_too_large_to_send_again_is_a_failure(relay, backend, handler, connect):
    client = await connect(await relay(replay_bytes=10))
    client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + b"x" * 100)
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(b"HTTP/1.1 503 No\r\nX-Aether-Refused: full\r\nContent-Length: 0\r\n\r\n")
    assert (await client.response())[1] == b"unreachable wait"


async def test_idle_upstream_connections_are_dropped_in_time(relay, backend, handler, connect):
    client = await connect(await relay(upstream_idle_s=0.1))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(OK)
    await client.response()
    assert await upstream.rest() == b""


async def test_connections_of_one_client_are_counted_apart_from_all(relay, backend, handler, connect):
    started = await relay(max_connections_per_client=2)
    first, _ = await connect(started), await connect(started)
    assert (await (await connect(started)).response())[0].startswith(b"HTTP/1.1 503 ")
    first.close()
    await first.writer.wait_closed()
    async with asyncio.timeout(5):
        while True:
            again = await connect(started)
            again.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: +\r\n\r\n")
            if (await again.response())[0].startswith(b"HTTP/1.1 400 "):
                break


async def test_refused_connections_take_no_places(relay, backend, handler, connect):
    """A client that is over its own limit must not use up everybody's."""
    started = await relay(max_connections=3, max_connections_per_client=1, linger_s=30.0)
    held = await connect(started)
    refused = [await connect(started) for _ in range(5)]
    for each in refused:
        assert (await each.response())[0].startswith(b"HTTP/1.1 503 ")
    assert started._census.enter("192.0.2.1")
    assert started._census.enter("192.0.2.2")
    assert not started._census.enter("192.0.2.3")
    held.close()
    started._census.leave("192.0.2.1")
    started._census.leave("192.0.2.2")


async def test_an_upgraded_connection_keeps_its_place(relay, backend, handler, connect):
    started = await relay(max_connections=1)
    client = await connect(started)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n")
    upstream = await backend.peer()
    upstream.send(b"HTTP/1.1 101 Go\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\n")
    await client.head()
    assert (await (await connect(started)).response())[0].startswith(b"HTTP/1.1 503 ")
    client.close()
    upstream.close()
    async with asyncio.timeout(5):
        await handler.ended.get()
        while started._tunnels:
            await asyncio.sleep(0)
    last = await connect(started)
    last.send(b"nonsense\r\n\r\n")
    assert (await last.response())[0].startswith(b"HTTP/1.1 400 ")


def test_an_ipv6_subscriber_is_one_client():
    census = Census(10, 1)
    assert census.enter("2001:db8::1")
    assert not census.enter("2001:db8::ffff")
    assert census.enter("2001:db8:0:1::1")
    assert census.enter("::ffff:192.0.2.1")
    assert not census.enter("192.0.2.1")
    assert census.enter("192.0.2.2")
