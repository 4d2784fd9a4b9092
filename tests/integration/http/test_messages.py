import pytest

from aether.http import Answer, Upstream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_pipelined_requests_are_answered_in_order(relay, backend, connect):
    client = await connect(await relay())
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(5)))
    upstream = await backend.peer()
    for number in range(5):
        assert (await upstream.head()).startswith(b"GET /%d " % number)
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
    assert [(await client.response())[1] for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert backend.accepted == 1


@pytest.mark.parametrize(
    ("request_and_head", "rest"),
    [
        (((b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")), b"Content-Length: 99\r\n"),
        (
            (b"GET", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 99\r\n\r\n'),
            b"Content-Length: 99\r\n",
        ),
        (((b"GET", b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n")), b"X-A: b\r\n"),
    ],
)
async def test_responses_without_a_body_keep_their_connections(
    relay, backend, connect, request_and_head, rest
):
    method, head = request_and_head
    client = await connect(await relay())
    client.send(method + b" / HTTP/1.1\r\nHost: x\r\n\r\n")
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(head)
    assert rest in await client.head()
    client.send(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await upstream.head()).startswith(b"GET /next ")
    upstream.send(OK)
    assert (await client.response())[1] == b"ok"


async def test_expect_is_answered_before_the_body_comes(relay, backend, connect):
    client = await connect(await relay())
    client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    upstream = await backend.peer()
    assert b"xpect" not in await upstream.head()
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"abc")
    assert await upstream.exactly(3) == b"abc"
    upstream.send(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + OK)
    assert await client.head() == b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
    assert (await client.response())[1] == b"ok"


async def test_upstream_may_decide_whether_the_body_shall_come(relay, backend, handler, connect):
    handler.options["upstream_continues"] = True
    client = await connect(await relay())
    client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    upstream = await backend.peer()
    assert b"\r\nExpect: 100-continue\r\n" in await upstream.head()
    upstream.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 2)
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"abc")
    assert await upstream.exactly(3) == b"abc"
    upstream.send(OK)
    assert (await client.response())[1] == b"ok"


async def test_upstream_that_wants_no_body_has_none_sent(relay, backend, handler, connect):
    handler.options["upstream_continues"] = True
    client = await connect(await relay())
    client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
    head, body = await client.response()
    assert (head[:12], b"Connection: close" in head, body) == (b"HTTP/1.1 413", True, b"no")


async def test_early_response_reaches_a_client_that_is_still_sending(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    head, body = await client.response()
    assert (b"Connection: close" in head, body) == (True, b"no")
    client.send(b"x" * 500_000)
    assert await client.rest() == b""


async def test_http_1_0_client_gets_no_chunks_and_may_keep_its_connection(relay, backend, connect):
    client = await connect(await relay())
    client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    upstream = await backend.peer()
    assert b"\r\nHost: 127.0.0.1:" in await upstream.head()
    upstream.send(OK)
    assert b"Connection: keep-alive" in (await client.response())[0]
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    await upstream.head()
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    assert b"Transfer-Encoding" not in await client.head()
    assert await client.rest() == b"ok"


async def test_body_until_close_becomes_chunked(relay, backend, connect):
    client = await connect(await relay())
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    upstream = await backend.peer()
    upstream.send(b"HTTP/1.0 200 OK\r\n\r\nabc")
    await upstream.head()
    upstream.close()
    assert b"Transfer-Encoding: chunked" in await client.head()
    assert await client.exactly(13) == b"3\r\nabc\r\n0\r\n\r\n"


async def test_answer_to_a_request_with_an_unread_body_arrives(relay, handler, connect):
    handler.decide = lambda request: Answer(404, b"no")
    client = await connect(await relay())
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)
    assert (await client.response())[1] == b"no"
    client.send(b"x" * 1000)
    assert await client.rest() == b""


async def test_events_pass_as_they_come(relay, backend, connect):
    client = await connect(await relay())
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    upstream = await backend.peer()
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.head()
    for number in range(3):
        upstream.send(b"9\r\ndata: %d\n\n\r\n" % number)
        assert await client.exactly(14) == b"9\r\ndata: %d\n\n\r\n" % number


async def test_relay_in_front_of_a_relay_on_a_unix_socket(relay, backend, handler, connect, tmp_path):
    inner = await relay()
    path = await inner.listen(path=str(tmp_path / "relay"))
    handler.decide = lambda request: (
        handler.forward(request) if request.header(b"x-hop") else forward_to_inner(request)
    )

    def forward_to_inner(request):
        forward = handler.forward(request)
        forward.upstream = Upstream(path=path)
        forward.add_headers = b"X-Hop: 1\r\n"
        return forward

    client = await connect(await relay())
    client.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    upstream = await backend.peer()
    assert b"X-Hop: 1" in await upstream.head()
    upstream.send(OK)
    assert (await client.response())[1] == b"ok"
