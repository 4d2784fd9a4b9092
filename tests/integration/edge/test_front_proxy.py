"""The gateway behind Debian's nginx, configured by the very text of docs/deploy.md."""

import re
from pathlib import Path

import pytest
from tests.integration.edge.conftest import make_certificate, trusting
from tests.integration.edge.nginx import free_port, needs_nginx, nginx

DEPLOY = Path(__file__).parents[3] / "docs" / "deploy.md"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

pytestmark = needs_nginx


def documented(chain: Path, key: Path, port: int, gateway: tuple[str, int]) -> str:
    """The documented block, with this test's ports and files."""
    found = re.search(r"```nginx\n(.*?)```", DEPLOY.read_text(), re.DOTALL)
    assert found is not None
    text = found[1]
    for told, ours in [
        ("listen 443 ssl http2", f"listen 127.0.0.1:{port} ssl http2"),
        ("127.0.0.1:8080", f"127.0.0.1:{gateway[1]}"),
        ("/etc/ssl/example.com/chain.pem", str(chain)),
        ("/etc/ssl/example.com/key.pem", str(key)),
        ("example.com", "localhost"),
    ]:
        assert told in text
        text = text.replace(told, ours)
    return text


@pytest.fixture
async def front(hops, tmp_path):
    """Both hops, whose `connect` leads through nginx over TLS."""
    chain, key = make_certificate(tmp_path)
    both = await hops(trusts=lambda host: host == "127.0.0.1")
    port = free_port()
    async with nginx(tmp_path / "nginx", documented(chain, key, port, both.address), port):
        both.address = ("127.0.0.1", port)
        yield lambda: both.connect(trusting(chain)), both


async def test_the_function_learns_who_asked_and_how(front):
    connect, both = front
    client = await connect()
    client.send(
        b"GET /functions/hello/a%2Fb?c HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: gopher\r\n"
        b"X-Forwarded-For: 192.0.2.7\r\n\r\n"
    )
    function = await both.function()
    head = await function.head()
    assert head.startswith(b"GET /a%2Fb?c HTTP/1.1\r\n")
    assert b"X-Forwarded-Proto: https\r\n" in head
    assert b"X-Forwarded-Host: localhost\r\n" in head
    assert b"X-Forwarded-For: 192.0.2.7, 127.0.0.1, 127.0.0.1\r\n" in head
    function.send(OK)
    assert (await client.response())[1] == b"ok"


async def test_streams_pass_both_ways_as_they_come(front):
    connect, both = front
    client = await connect()
    client.send(
        b"POST /functions/hello HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )
    function = await both.function()
    await function.head()
    assert await function.exactly(8) == b"3\r\nabc\r\n"
    function.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.head()
    for number in range(3):
        function.send(b"9\r\ndata: %d\n\n\r\n" % number)
        assert await client.exactly(14) == b"9\r\ndata: %d\n\n\r\n" % number


async def test_websockets_pass(front):
    connect, both = front
    client = await connect()
    client.send(
        b"GET /functions/hello/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\n\r\n"
    )
    function = await both.function()
    assert b"Upgrade: websocket\r\n" in await function.head()
    function.send(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
    assert (await client.head()).startswith(b"HTTP/1.1 101 ")
    assert await client.exactly(5) == b"hello"
    client.send(b"there")
    assert await function.exactly(5) == b"there"


async def test_a_path_that_leaves_its_function_is_refused_behind_nginx_too(front):
    connect, both = front
    client = await connect()
    client.send(b"GET /functions/hello/../other/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await client.head()).startswith(b"HTTP/1.1 400 ")
    assert both._arrived.empty()


async def test_the_function_learns_behind_nginx_too_that_its_client_is_gone(front):
    connect, both = front
    client = await connect()
    client.send(b"GET /functions/hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    function = await both.function()
    await function.head()
    client.reset()
    await function.closed(1)
