"""Two relays of one process, the first of which forwards to the second without a socket between them."""

import asyncio

import pytest

from aether.http import Forward, Limits, Neighbours, Outcome, Relay, Upstream

MB = 1 << 20
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class ToSecond:
    """Sends all to the second relay, and has `undelivered` told."""

    def __init__(self, handler):
        self._handler = handler
        self.second = Upstream()

    def begin(self, request):
        return Forward(self.second, request.target)

    def __getattr__(self, name):
        return getattr(self._handler, name)


@pytest.fixture(params=[Limits(), Limits(max_headers=1000)], ids=["as bytes", "handed over"])
async def hops(request, handler, backend):
    """The first relay's own recorder is `hops.front`; `handler` is the second's.

    Only a second that refuses nothing which the first let through has requests handed over.
    """
    neighbours = Neighbours()
    second = Relay(handler, request.param, neighbours=neighbours)
    front = ToSecond(type(handler)())
    front.second = Upstream(*await second.listen("127.0.0.1"))
    first = Relay(front, Limits(), neighbours=neighbours)
    first.address = await first.listen("127.0.0.1")
    first.front, first.second = front, second
    yield first
    await first.close()
    await second.close()
    assert first.in_flight == second.in_flight == 0


async def test_request_and_answer_pass_without_a_socket(hops, handler, backend, connect):
    seen = []
    handler.decide = lambda request: seen.append(request.client) or handler.forward(request)
    client = await connect(hops)
    client.send(GET)
    peer = await backend.peer()
    assert (await peer.head()).startswith(b"GET / HTTP/1.1")
    peer.send(OK)
    assert (await client.response())[1] == b"ok"
    assert seen == [("", 0)]


async def test_connection_between_them_is_kept(hops, backend, connect):
    client = await connect(hops)
    client.send(GET)
    peer = await backend.peer()
    for _ in range(3):
        await peer.head()
        peer.send(OK)
        await client.response()
        client.send(GET)
    assert hops.second._census._all == 1


async def test_bodies_of_many_megabytes_pass_whole_both_ways(hops, backend, connect):
    body = bytes(range(256)) * (8 * MB // 256)
    client = await connect(hops)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    peer = await backend.peer()
    await peer.head()
    assert await peer.exactly(len(body)) == body
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await client.head()
    assert await client.exactly(len(body)) == body


async def test_slow_reader_holds_the_sender(hops, backend, connect):
    client = await connect(hops)
    client.send(GET)
    peer = await backend.peer()
    await peer.head()
    peer.writer.transport.set_write_buffer_limits(high=0)
    sent = 0

    async def send_all():
        nonlocal sent
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 * MB))
        for sent in range(256):  # noqa: B007 - told outside
            peer.send(bytes(MB))
            await peer.writer.drain()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send_all(), 1)
    assert sent < 64
    client.reset()
    assert (await hops.front.ended.get()).outcome is Outcome.CLIENT_GONE


async def test_client_that_goes_is_noticed_behind_both(hops, handler, backend, connect):
    client = await connect(hops)
    client.send(GET)
    peer = await backend.peer()
    await peer.head()
    client.close()
    assert await peer.rest() == b""
    assert (await handler.ended.get()).outcome is Outcome.CLIENT_GONE


async def test_client_that_goes_is_noticed_while_its_body_is_held(hops, handler, backend, connect):
    client = await connect(hops)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (99 * MB))
    peer = await backend.peer()
    peer.reader._transport.pause_reading()
    client.send(bytes(30 * MB))
    client.reset()
    assert (await handler.ended.get()).outcome is Outcome.CLIENT_GONE


async def test_answer_that_breaks_off_is_cut_for_the_client(hops, handler, backend, connect):
    client = await connect(hops)
    client.send(GET)
    peer = await backend.peer()
    await peer.head()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    await client.head()
    assert await client.exactly(4) == b"half"
    peer.close()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await client.exactly(6)
    assert (await handler.ended.get()).outcome is Outcome.UPSTREAM_BROKEN
    assert (await hops.front.ended.get()).outcome is Outcome.UPSTREAM_BROKEN


async def test_answer_until_close_ends_whole(hops, backend, connect):
    client = await connect(hops)
    client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    peer = await backend.peer()
    await peer.head()
    peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    peer.close()
    assert (await client.rest()).endswith(b"\r\n\r\nall of it")
    assert (await hops.front.ended.get()).outcome is Outcome.COMPLETED


async def test_upgrade_talks_both_ways_and_half_closes(hops, handler, backend, connect):
    client = await connect(hops)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    peer = await backend.peer()
    await peer.head()
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
    assert (await client.head()).startswith(b"HTTP/1.1 101")
    assert await client.exactly(5) == b"hello"
    client.send(b"ping")
    assert await peer.exactly(4) == b"ping"
    client.writer.write_eof()
    assert await peer.rest() == b""
    peer.send(b"last words")
    peer.close()
    assert await client.rest() == b"last words"
    assert (await hops.front.ended.get()).outcome is Outcome.COMPLETED
    assert (await handler.ended.get()).outcome is Outcome.COMPLETED


async def test_draining_one_is_reached_no_more(hops, handler, backend, connect):
    client = await connect(hops)
    client.send(GET)
    peer = await backend.peer()
    await peer.head()
    draining = asyncio.ensure_future(hops.second.drain(5))
    await asyncio.sleep(0)
    other = await connect(hops)
    other.send(GET)
    assert (await other.head()).startswith(b"HTTP/1.1 503")
    assert [why.kind for why in hops.front.undeliveries] == ["connect"]
    peer.send(OK)
    assert (await client.response())[1] == b"ok"
    assert await draining


async def test_closing_one_breaks_what_it_carries(hops, handler, backend, connect):
    client = await connect(hops)
    client.send(b"POST" + GET[3:])
    peer = await backend.peer()
    await peer.head()
    await hops.second.close()
    assert (await client.head()).startswith(b"HTTP/1.1 502")
    assert (await handler.ended.get()).outcome is Outcome.CLOSED


class Failing(asyncio.Protocol):
    """Fails at what it receives; `lost` hears how its connection ended."""

    def __init__(self):
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        raise OSError("it can't be passed on")

    def connection_lost(self, error):
        self.lost.set_result(error)


async def test_failing_protocol_costs_its_connection_and_both_sides_hear_of_it():
    told = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: told.append(str(context["exception"]))
    )
    neighbours, caller, accepted = Neighbours(), Failing(), Failing()
    neighbours.add(Upstream("127.0.0.1", 1), lambda: accepted)
    assert neighbours.connect(Upstream("127.0.0.1", 1), caller)
    caller.transport.write(b"x")
    async with asyncio.timeout(5):
        assert isinstance(await accepted.lost, OSError)
        assert isinstance(await caller.lost, ConnectionResetError)
    assert told == ["it can't be passed on"]
