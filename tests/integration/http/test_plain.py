from aether.http import Answer, Outcome


async def test_request_and_answer_pass_unchanged_but_for_hop_fields(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(
        b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nx-one: 2\r\n"
        b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\r\n"
    )
    upstream = await backend.peer()
    assert await upstream.head() == b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nx-one: 2\r\n\r\n"
    upstream.send(
        b"HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nContent-Length: 2\r\nset-cookie: b\r\nX-Aether-Forged: 1\r\n"
        b"Keep-Alive: timeout=5\r\nConnection: keep-alive\r\n\r\nhi"
    )
    head, body = await client.response()
    assert head == b"HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nContent-Length: 2\r\nset-cookie: b\r\n\r\n"
    assert body == b"hi"
    exchange = await handler.ended.get()
    assert (exchange.outcome, exchange.status, exchange.bytes_out) == (Outcome.COMPLETED, 200, 2)
    assert exchange.received_at <= exchange.forwarded_at <= exchange.head_at <= exchange.ended_at


async def test_both_connections_are_kept(relay, backend, handler, connect):
    client = await connect(await relay())
    upstream = None
    for number in range(3):
        client.send(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
        upstream = upstream or await backend.peer()
        assert (await upstream.head()).startswith(b"GET /%d " % number)
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        assert (await client.response())[1] == b"%d" % number
    assert backend.accepted == 1


async def test_body_streams_both_ways_before_either_is_whole(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    upstream = await backend.peer()
    assert b"\r\nTransfer-Encoding: chunked\r\n" in await upstream.head()
    assert await upstream.exactly(8) == b"3\r\nabc\r\n"
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in await client.head()
    assert await client.exactly(6) == b"1\r\nx\r\n"
    client.send(b"2\r\nde\r\n0\r\nT: 1\r\n\r\n")
    assert await upstream.exactly(18) == b"2\r\nde\r\n0\r\nT: 1\r\n\r\n"
    upstream.send(b"0\r\nX-Sum: 9\r\n\r\n")
    assert await client.rest() == b"0\r\nX-Sum: 9\r\n\r\n"
    exchange = await handler.ended.get()
    assert (exchange.bytes_in, exchange.bytes_out) == (5, 1)


async def test_own_answers_keep_the_connection(relay, handler, connect):
    handler.decide = lambda request: Answer(404, request.target, headers=(("X-A", "b"),))
    client = await connect(await relay())
    client.send(
        b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.0\r\n\r\n"
    )
    head, body = await client.response()
    assert head.startswith(b"HTTP/1.1 404 Not Found\r\nX-A: b\r\nContent-Type: application/json\r\n")
    assert body == b"/1"
    assert b"Content-Length: 2\r\n" in await client.head()
    assert (await client.response())[1] == b"/3"
    assert await client.rest() == b""
    assert [handler.ended.get_nowait().outcome for _ in range(3)] == [Outcome.ANSWERED] * 3
