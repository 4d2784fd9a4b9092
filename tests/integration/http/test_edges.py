import asyncio
import hashlib

import pytest

from aether.http import Answer, Outcome, Upstream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"


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
    ("method", "head", "rest"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b"Content-Length: 99\r\n"),
        (
            b"GET",
            b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 99\r\n\r\n',
            b"Content-Length: 99\r\n",
        ),
        (b"GET", b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", b"X-A: b\r\n"),
    ],
)
async def test_responses_without_a_body_keep_their_connections(relay, backend, connect, method, head, rest):
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


async def test_edge_says_who_asked(relay, backend, connect):
    client = await connect(await relay(edge=True))
    client.send(
        b"GET / HTTP/1.1\r\nHost: a.b\r\nX-Forwarded-For: 1.2.3.4\r\nx-forwarded-proto: gopher\r\n\r\n"
    )
    head = await (await backend.peer()).head()
    assert (
        b"X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.b\r\n" in head
    )
    assert head.lower().count(b"x-forwarded-") == 3


async def test_headers_are_dropped_and_set(relay, backend, handler, connect):
    handler.options.update(
        drop=frozenset({b"authorization", b"x-call-id"}),
        add_headers=b"X-Call-Id: 1\r\n",
        response_headers=lambda exchange: b"Server-Timing: fn;dur=1\r\n",
    )
    client = await connect(await relay())
    client.send(b"GET / HTTP/1.1\r\nAuthorization: secret\r\nHost: x\r\nX-CALL-ID: 7\r\nA: b\r\n\r\n")
    upstream = await backend.peer()
    assert await upstream.head() == b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nX-Call-Id: 1\r\n\r\n"
    upstream.send(OK)
    assert b"Server-Timing: fn;dur=1\r\n" in (await client.response())[0]


async def test_upgrade_passes_both_ways_and_closes_each_way_by_itself(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(UPGRADE + b"early")
    upstream = await backend.peer()
    head = await upstream.head()
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
    upstream.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello"
    )
    assert b"Upgrade: websocket\r\n" in await client.head()
    assert await client.exactly(5) == b"hello"
    assert await upstream.exactly(5) == b"early"
    client.send(b"last words")
    client.writer.write_eof()
    assert await upstream.rest() == b"last words"
    upstream.send(b"bye")
    upstream.close()
    assert await client.rest() == b"bye"
    exchange = await handler.ended.get()
    assert (exchange.upgraded, exchange.outcome) == (True, Outcome.COMPLETED)
    assert (exchange.bytes_in, exchange.bytes_out) == (15, 8)


async def test_silent_tunnel_is_cut(relay, backend, handler, connect):
    handler.options["idle_timeout_s"] = 0.2
    client = await connect(await relay())
    client.send(UPGRADE)
    (await backend.peer()).send(b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    await client.head()
    assert await client.rest() == b""
    assert (await handler.ended.get()).outcome is Outcome.CUT_IDLE


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


async def test_one_connection_too_many_is_told_so(relay, backend, handler, connect):
    started = await relay(max_connections=1)
    await connect(started)
    second = await connect(started)
    assert (await second.response())[0].startswith(b"HTTP/1.1 503 ")


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


async def test_large_bodies_pass_whole_and_hold_little_memory(relay, backend, handler, connect):
    size, piece = 256 << 20, bytes(range(256)) * 4096
    client = await connect(await relay())
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    upstream = await backend.peer()
    await upstream.head()

    async def pump(peer):
        for _ in range(size // len(piece)):
            peer.send(piece)
            await peer.writer.drain()

    async def digest(peer):
        total = hashlib.blake2b()
        left = size
        while left:
            data = await peer.reader.read(1 << 18)
            total.update(data)
            left -= len(data)
        return total.digest()

    before = resident_mib()
    _, received = await asyncio.gather(pump(client), digest(upstream))
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    await client.head()
    _, returned = await asyncio.gather(pump(upstream), digest(client))
    assert received == returned
    assert resident_mib() - before < 48
    assert (await handler.ended.get()).bytes_out == size


def resident_mib() -> int:
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) >> 10


async def test_slow_reader_holds_the_upstream_back(relay, backend, handler, connect):
    client = await connect(await relay())
    client.writer.transport.pause_reading()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    upstream = await backend.peer()
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 100_000_000:
            upstream.send(b"x" * 65536)
            sent += 65536
            await asyncio.wait_for(upstream.writer.drain(), 0.5)
    assert sent < 50_000_000


async def test_answer_to_a_request_with_an_unread_body_arrives(relay, handler, connect):
    handler.decide = lambda request: Answer(404, b"no")
    client = await connect(await relay())
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)
    assert (await client.response())[1] == b"no"
    client.send(b"x" * 1000)
    assert await client.rest() == b""
