import asyncio
import socket

import pytest
from tests.peers import WAIT_S

from aether.http import FailureKind, Outcome

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


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


async def test_winding_down_ends_each_connection_with_its_next_answer_and_takes_new_ones(
    relay, backend, handler, connect
):
    started = await relay()
    kept = await connect(started)
    started.wind_down()
    upstream = None
    for client in (kept, await connect(started)):
        client.send(GET)
        upstream = upstream or await backend.peer()
        await upstream.head()
        upstream.send(OK)
        head, body = await client.response()
        assert (b"Connection: close" in head, body) == (True, b"ok")
        assert await client.rest() == b""


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


async def test_connection_that_was_idle_takes_one_more_request_within_its_grace(relay, backend, connect):
    started = await relay()
    client, unused = await connect(started), await connect(started)
    drained = asyncio.ensure_future(started.drain(10, idle_grace_s=0.3))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(OK)
    assert b"Connection: close" in (await client.response())[0]
    assert await unused.rest() == b""
    assert await drained


async def test_an_answer_that_began_before_the_drain_holds_it_up_no_longer_than_it_lasts(
    relay, backend, connect
):
    started = await relay()
    client = await connect(started)
    client.send(GET)
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
    assert b"Connection: close" not in await client.head()  # so the client keeps its connection
    drained = asyncio.ensure_future(started.drain(WAIT_S, idle_grace_s=0.3))
    upstream.send(b"k")
    assert await client.rest() == b"ok"
    assert await drained


async def test_one_who_has_connected_when_listening_ends_is_served(relay, backend):
    started = await relay()
    with socket.create_connection(started.address) as client:
        client.sendall(GET)  # all in one turn of the loop: nobody has accepted the connection
        draining = asyncio.ensure_future(started.drain(WAIT_S))
        upstream = await backend.peer()
        await upstream.head()
        upstream.send(OK)
        client.setblocking(False)
        received = await asyncio.get_running_loop().sock_recv(client, 4096)
        assert received.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nConnection: close\r\n" in received
        with pytest.raises(ConnectionRefusedError), socket.create_connection(started.address):
            pass
    assert await draining


async def test_one_who_has_connected_and_says_nothing_holds_nobody_up(relay):
    started = await relay()
    with socket.create_connection(started.address):
        assert await started.drain(WAIT_S)


async def test_what_has_no_answer_when_time_is_up_is_answered_by_the_handler(
    relay, backend, handler, connect
):
    started = await relay()
    client = await connect(started)
    client.send(GET)
    upstream = await backend.peer()
    await upstream.head()
    assert not await started.drain(0)
    await started.give_up()
    head, body = await client.response()
    assert (head.split(b" ")[1], body) == (b"502", b"stopping wait")
    assert b"\r\nConnection: close\r\n" in head
    assert await client.rest() == b""
    assert [failure.kind for failure in handler.failures] == [FailureKind.STOPPING]
