import asyncio

import pytest

from aether.http import Outcome

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_client_that_goes_takes_its_request_along(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    await upstream.head()
    client.writer.write_eof()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await upstream.exactly(1)
    assert (await handler.ended.get()).outcome is Outcome.CLIENT_GONE


async def test_client_that_goes_ends_the_wait_for_a_decision(relay, handler, connect):
    cancelled = asyncio.Event()

    async def cold_start():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    handler.decide = lambda request: cold_start()
    client = await connect(await relay())
    client.send(GET)
    client.close()
    await asyncio.wait_for(cancelled.wait(), 5)
    assert (await handler.ended.get()).outcome is Outcome.CLIENT_GONE


async def test_awaited_decision_is_followed(relay, backend, handler, connect):
    async def cold_start(request):
        await asyncio.sleep(0)
        return handler.forward(request)

    handler.decide = cold_start
    client = await connect(await relay())
    client.send(POST)
    upstream = await backend.peer()
    await upstream.head()
    assert await upstream.exactly(3) == b"abc"
    upstream.send(OK)
    assert (await client.response())[1] == b"ok"


async def test_handler_that_raises_is_an_answer_and_a_report(relay, handler, connect):
    reports = []

    def decide(request):
        raise KeyError("x")

    handler.decide = decide
    started = await relay()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))
    client = await connect(started)
    client.send(GET)
    assert (await client.response())[1] == b"handler decide"
    assert isinstance(reports[0]["exception"], KeyError)
