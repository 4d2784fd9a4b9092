from aether.http import Outcome

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
