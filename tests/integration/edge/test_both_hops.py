"""What a client and a function see of each other with both hops between them."""

import asyncio

import pytest

from aether.domain.function import Limits

GET = b"GET /functions/hello/x?y=1 HTTP/1.1\r\nHost: a.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SEES_WITHIN_S = 1.0

pytestmark = pytest.mark.parametrize(
    "neighbours", [False, True], ids=["between processes", "in one process"], indirect=True
)


async def test_the_function_sees_its_own_path_and_who_asked(hops):
    both = await hops()
    client = await both.connect()
    client.send(GET)
    function = await both.function()
    head = await function.head()
    assert head.startswith(b"GET /x?y=1 HTTP/1.1\r\n")
    assert b"X-Forwarded-Host: a.example\r\n" in head
    assert b"X-Aether" not in head
    function.send(OK)
    head, body = await client.response()
    assert body == b"ok"
    assert b"X-Call-Id: call-" in head
    assert b"Server-Timing: " in head


async def test_trailers_pass_both_ways(hops):
    both = await hops()
    client = await both.connect()
    client.send(
        b"POST /functions/hello HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;ext=1\r\nabc\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n"
    )
    function = await both.function()
    head = await function.head()
    assert b"TE: trailers\r\n" in head
    assert await function.exactly(23) == b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    function.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n")
    await client.head()
    assert await client.exactly(22) == b"2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n"


async def test_interim_responses_pass_and_ours_comes_before_the_body(hops):
    both = await hops()
    client = await both.connect()
    client.send(
        b"PUT /functions/hello HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    )
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"abc")
    function = await both.function()
    await function.head()
    assert await function.exactly(3) == b"abc"
    function.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    assert await client.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert (await client.response())[1] == b"ok"


async def test_pipelined_calls_are_answered_in_order(hops):
    both = await hops()
    client = await both.connect()
    client.send(b"".join(GET.replace(b"y=1", b"y=%d" % number) for number in range(5)))
    function = await both.function()
    for number in range(5):
        assert b"y=%d " % number in await function.head()
        function.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
    assert [(await client.response())[1] for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


async def test_an_http_1_0_client_is_served(hops):
    both = await hops()
    client = await both.connect()
    client.send(b"GET /functions/hello HTTP/1.0\r\n\r\n")
    function = await both.function()
    await function.head()
    function.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    head = await client.head()
    assert b"Transfer-Encoding" not in head
    assert await client.rest() == b"ok"


async def test_events_are_not_held_up(hops):
    both = await hops()
    client = await both.connect()
    client.send(GET)
    function = await both.function()
    await function.head()
    function.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.head()
    for number in range(5):
        function.send(b"9\r\ndata: %d\n\n\r\n" % number)
        assert await client.exactly(14) == b"9\r\ndata: %d\n\n\r\n" % number


async def test_a_websocket_passes_with_each_way_ending_by_itself(hops):
    both = await hops()
    client = await both.connect()
    client.send(
        b"GET /functions/hello/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    function = await both.function()
    head = await function.head()
    assert b"Upgrade: websocket\r\n" in head
    assert b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" in head
    function.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi"
    )
    assert (await client.head()).startswith(b"HTTP/1.1 101 ")
    assert await client.exactly(4) == b"\x81\x02hi"
    client.send(b"\x88\x80\x00\x00\x00\x00")
    client.writer.write_eof()
    assert await function.rest() == b"\x88\x80\x00\x00\x00\x00"
    function.send(b"\x88\x00")
    function.writer.write_eof()
    assert await client.rest() == b"\x88\x00"


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_the_function_learns_that_its_client_is_gone(hops, how):
    both = await hops()
    client = await both.connect()
    client.send(GET)
    function = await both.function()
    await function.head()
    client.writer.write_eof() if how == "fin" else client.reset()
    await function.closed(SEES_WITHIN_S)


async def test_the_function_learns_it_in_the_middle_of_an_upload_it_does_not_read(hops):
    both = await hops()
    client = await both.connect()
    client.send(b"POST /functions/hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
    function = await both.function()
    await function.head()
    function.writer.transport.pause_reading()
    for _ in range(200):
        client.send(b"x" * 1_000_000)
        try:
            await asyncio.wait_for(client.writer.drain(), 0.3)
        except TimeoutError:
            break
    client.reset()
    function.writer.transport.resume_reading()
    await function.closed(SEES_WITHIN_S + 1)


async def test_a_request_with_as_many_fields_as_the_edge_takes_reaches_the_function(hops):
    """The edge adds some of its own: the second hop must not refuse what the first let through."""
    both = await hops(max_headers=100)
    client = await both.connect()
    fields = b"".join(b"X-%d: 1\r\n" % number for number in range(99))
    client.send(b"GET /functions/hello HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
    function = await both.function()
    assert b"X-98: 1\r\n" in await function.head()
    function.send(OK)
    assert (await client.response())[1] == b"ok"


@pytest.mark.parametrize("body", [b"5\r\nab", b"zz\r\n", b"2\r\nokxx"])
async def test_a_broken_body_is_never_taken_for_whole(hops, body):
    both = await hops()
    client = await both.connect()
    client.send(GET)
    function = await both.function()
    await function.head()
    function.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
    await client.head()
    await client.exactly(7)
    function.send(body)
    await function.writer.drain()
    function.writer.close()
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_a_reader_that_takes_nothing_is_cut_after_the_idle_limit(hops):
    both = await hops(function=Limits(idle_timeout_s=1))
    client = await both.connect()
    client.writer.transport.pause_reading()
    client.send(GET)
    function = await both.function()
    await function.head()
    function.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 50_000_000)
    await function.closed(5)
