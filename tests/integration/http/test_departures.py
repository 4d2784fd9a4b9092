"""Clients that go: the other side learns of it, whatever was being held back at the time."""

import asyncio

from aether.http import Answer, Outcome

SEES_WITHIN_S = 1.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def gone(peer) -> None:
    """Until the peer's connection is closed or reset."""
    async with asyncio.timeout(SEES_WITHIN_S):
        try:
            while await peer.reader.read(1 << 20):
                pass
        except ConnectionResetError:
            pass


async def fill(peer) -> None:
    """Send until nothing more is taken."""
    for _ in range(200):
        peer.send(b"x" * 1_000_000)
        try:
            await asyncio.wait_for(peer.writer.drain(), 0.3)
        except TimeoutError:
            return
    raise AssertionError("all of it was taken")


async def test_a_client_that_goes_while_it_waits_is_noticed(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    upstream = await backend.peer()
    await upstream.head()
    client.writer.write_eof()
    await gone(upstream)
    assert (await handler.ended.get()).outcome is Outcome.CLIENT_GONE


async def test_a_client_that_goes_while_its_body_is_held_back_is_noticed(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    upstream = await backend.peer()
    await upstream.head()
    upstream.writer.transport.pause_reading()
    await fill(client)
    client.reset()
    async with asyncio.timeout(SEES_WITHIN_S):
        assert (await handler.ended.get()).outcome is Outcome.CLIENT_GONE
    upstream.writer.transport.resume_reading()
    await gone(upstream)


async def test_a_client_that_goes_during_a_cold_start_with_a_large_body_is_noticed(relay, handler, connect):
    cancelled = asyncio.Event()

    async def start(_request):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    handler.decide = start
    client = await connect(await relay())
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    await fill(client)
    client.reset()
    async with asyncio.timeout(SEES_WITHIN_S):
        await cancelled.wait()


async def test_a_body_that_comes_with_the_answer_before_it_is_not_taken_for_a_head(relay, handler, connect):
    """A pipelined request waits whole; more of its body must not be looked at as if it were a head's."""
    first = asyncio.get_running_loop().create_future()
    handler.decide = lambda request: first if request.target == b"/1" else handler.forward(request)
    started = await relay()
    client = await connect(started)
    client.send(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
    client.send(b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab\x00")
    async with asyncio.timeout(5):
        while not any(each._pending for each in started._clients):
            await asyncio.sleep(0)
    (connection,) = started._clients
    connection.exchange.answer(Answer(200, b"1"), Outcome.ANSWERED)
    handler.decide = lambda request: Answer(200, request.target)
    connection.data_received(b"\x00cd")  # in the same turn of the loop, as one poll may tell of both
    assert (await client.response())[1] == b"1"
    assert (await client.response())[1] == b"/2"
    first.cancel()
