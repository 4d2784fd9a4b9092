import pytest

from aether.http import Outcome

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "garbage",
    [
        b"what?\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Upgraded\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70000,
    ],
)
async def test_garbage_from_an_upstream_is_502(relay, backend, handler, connect, garbage):
    client = await connect(await relay())
    client.send(GET)
    (await backend.peer()).send(garbage)
    assert (await client.response())[1] == b"malformed wait"
    assert (await handler.ended.get()).outcome is Outcome.FAILED


async def test_nothing_passes_after_a_body_of_known_length(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(GET)
    (await backend.peer()).send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    assert (await client.response())[1] == b"ok"
    client.send(GET)
    (await backend.peer()).send(OK)
    assert (await client.response())[1] == b"ok"


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked", b"X-Until: close"])
async def test_broken_response_body_is_never_taken_for_whole(relay, backend, handler, connect, framing):
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    upstream.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n1\r\na\r\n")
    head = await client.head()
    await client.exactly(6)
    upstream.reset()
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert (await handler.ended.get()).outcome is Outcome.UPSTREAM_BROKEN
