"""TLS between gateway and instances' proxies, with certificates both ways."""

import asyncio
import json
import shutil
import ssl

import pytest
from tests.integration.edge.authority import Authority
from tests.integration.edge.conftest import Between

from aether.adapters.clock import SystemClock
from aether.http import BadCredentials, MutualTls, Side
from aether.worker.hop import Hop

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")

GET = b"GET /functions/hello HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /functions/hello HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def gateway(authority) -> MutualTls:
    return MutualTls(*authority.certificate("gateway", "clientAuth"), authority.cert, Side.CLIENT)


@pytest.fixture(scope="module")
def worker(authority) -> MutualTls:
    return MutualTls(*authority.certificate("worker", "serverAuth"), authority.cert, Side.SERVER)


def agreed(upstream: MutualTls | None, proxy: MutualTls | None) -> Between:
    hop = Hop(SystemClock(), tls=proxy)
    return Between(upstream_tls=upstream.context if upstream else None, hop=hop)


async def refused(hops, request: bytes = POST) -> dict[str, str]:
    """The answer to a request that no function may have seen."""
    client = await hops.connect()
    client.send(request)
    head, body = await client.response()
    assert head.startswith(b"HTTP/1.1 503 "), head
    assert hops._arrived.empty()
    return json.loads(body)["error"]


async def test_requests_go_through_and_the_connection_is_kept(hops, gateway, worker):
    both = await hops(between=agreed(gateway, worker))
    client = await both.connect()
    function = None
    for request in (GET, POST, GET):
        client.send(request)
        function = function or await both.function()
        await function.head()
        if request is POST:
            assert await function.exactly(2) == b"hi"
        function.send(OK)
        assert (await client.response())[1] == b"ok"


async def test_a_worker_without_tls_is_spoken_to_without(hops, gateway):
    both = await hops(between=agreed(gateway, None))
    client = await both.connect()
    client.send(GET)
    (await both.function()).send(OK)
    assert (await client.response())[1] == b"ok"


@pytest.mark.parametrize("neighbours", [True], indirect=True)
async def test_within_a_process_no_socket_and_no_tls_is_needed(hops, worker):
    both = await hops(between=agreed(None, worker))
    client = await both.connect()
    client.send(GET)
    (await both.function()).send(OK)
    assert (await client.response())[1] == b"ok"


async def test_an_upgrade_goes_through(hops, gateway, worker):
    both = await hops(between=agreed(gateway, worker))
    client = await both.connect()
    client.send(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: own\r\n\r\n")
    function = await both.function()
    await function.head()
    function.send(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\nfirst")
    assert (await client.head()).startswith(b"HTTP/1.1 101 ")
    assert await client.exactly(5) == b"first"
    client.send(b"ping" * 50_000)
    assert await function.exactly(200_000) == b"ping" * 50_000
    function.send(b"pong")
    assert await client.exactly(4) == b"pong"
    function.close()
    assert await client.rest() == b""


SIZE = 80_000_000
"""More than the sockets' buffers on the way hold."""


async def held_up(sender) -> int:
    """Send until nothing more is taken; how much that was."""
    sent = 0
    while sent < SIZE:
        sender.send(b"x" * 1_000_000)
        sent += 1_000_000
        try:
            async with asyncio.timeout(0.3):
                await sender.writer.drain()
        except TimeoutError:
            break
    return sent


async def test_a_client_that_does_not_read_holds_the_function_up(hops, gateway, worker):
    both = await hops(between=agreed(gateway, worker))
    client = await both.connect()
    client.send(GET)
    function = await both.function()
    await function.head()
    client.writer.transport.pause_reading()
    function.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
    sent = await held_up(function)
    assert sent < SIZE
    client.writer.transport.resume_reading()
    await client.head()
    assert len(await client.exactly(sent)) == sent


async def test_a_function_that_does_not_read_holds_the_client_up(hops, gateway, worker):
    both = await hops(between=agreed(gateway, worker))
    client = await both.connect()
    client.send(b"POST /functions/hello HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE)
    function = await both.function()
    await function.head()
    function.writer.transport.pause_reading()
    sent = await held_up(client)
    assert sent < SIZE
    function.writer.transport.resume_reading()
    assert len(await function.exactly(sent)) == sent


async def test_a_certificate_by_a_stranger_gets_no_byte_to_the_function(hops, stranger, worker):
    other = MutualTls(*stranger.certificate("gateway"), stranger.cert, Side.CLIENT)
    error = await refused(await hops(between=agreed(other, worker)))
    assert "TLS" in error["message"]
    assert "AETHER_HOP_CERT" in error["hint"]


async def test_a_worker_that_only_trusts_others_gets_no_request(hops, authority, stranger, gateway, tmp_path):
    """It could shake hands as a server, but takes nobody of ours: told before anything is sent."""
    theirs = MutualTls(*stranger.certificate("worker"), stranger.cert, Side.SERVER)
    trusting_both = tmp_path / "both.pem"
    trusting_both.write_bytes(authority.cert.read_bytes() + stranger.cert.read_bytes())
    ours = MutualTls(*authority.certificate("gateway-2"), trusting_both, Side.CLIENT)
    error = await refused(await hops(between=agreed(ours, theirs)))
    assert "TLS" in error["message"]


async def test_a_gateway_without_a_certificate_says_what_is_missing(hops, worker):
    error = await refused(await hops(between=agreed(None, worker)))
    assert "no certificate" in error["message"]


async def test_a_certificate_that_has_run_out_is_none(hops, authority, gateway, worker, monkeypatch):
    files = (*authority.certificate("late", "clientAuth", days=0), authority.cert)
    with pytest.raises(BadCredentials, match="expired"):
        MutualTls(*files, Side.CLIENT)
    monkeypatch.setattr("aether.http.mutual_tls._try", lambda *_: None)  # it ran out meanwhile
    error = await refused(await hops(between=agreed(MutualTls(*files, Side.CLIENT), worker)))
    assert "TLS" in error["message"]


@pytest.mark.parametrize("chain", [False, True])
async def test_whoever_has_no_certificate_does_not_reach_the_proxy(hops, authority, gateway, worker, chain):
    both = await hops(between=agreed(gateway, worker))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority.cert)
    if chain:  # one for servers only does not make a client
        context.load_cert_chain(*authority.certificate("another", "serverAuth"))
    with pytest.raises((ssl.SSLError, OSError)):  # noqa: PT012 - with TLS 1.3 it is told at the first read
        reader, writer = await asyncio.open_connection(*both.proxy_address, ssl=context)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await reader.read() == b""
        raise ConnectionResetError
    assert both._arrived.empty()


async def test_plain_text_to_a_proxy_with_tls_reaches_nobody(hops, gateway, worker):
    both = await hops(between=agreed(gateway, worker))
    client = await both.to_proxy()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await client.closed(within_s=5)
    assert both._arrived.empty()


async def test_new_files_are_used_for_new_connections_and_old_ones_are_not_kept(hops, authority, tmp_path):
    """A new authority: both sides take its certificates when their files have changed."""
    files = {}
    for side, use in ((Side.CLIENT, "clientAuth"), (Side.SERVER, "serverAuth")):
        names = [tmp_path / f"{side.value}.{part}" for part in ("pem", "key", "ca")]
        put(names, *authority.certificate(side.value, use), authority.cert)
        files[side] = names
    upstream, proxy = (MutualTls(*files[side], side) for side in (Side.CLIENT, Side.SERVER))
    both = await hops(between=agreed(upstream, proxy))
    client = await both.connect()

    async def call() -> None:
        client.send(GET)
        function = await both.function()
        await function.head()
        function.send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await client.response())[1] == b"ok"

    await call()
    before = proxy.context()
    assert not proxy.refresh()
    renewed = Authority(tmp_path, "renewed")
    for side, use in ((Side.CLIENT, "clientAuth"), (Side.SERVER, "serverAuth")):
        put(files[side], *renewed.certificate(f"renewed-{side.value}", use), renewed.cert)
    assert proxy.refresh()
    assert upstream.refresh()
    assert proxy.context() is not before
    await call()  # on a connection of before, whose end this is
    await call()


def put(names, *sources) -> None:
    for name, source in zip(names, sources, strict=True):
        name.write_bytes(source.read_bytes())


async def test_files_that_can_not_be_used_are_told_and_those_before_stay(authority, stranger, tmp_path):
    cert, key = authority.certificate("gateway-3", "clientAuth")
    names = [tmp_path / part for part in ("cert", "key", "ca")]
    put(names, cert, key, authority.cert)
    tls = MutualTls(*names, Side.CLIENT)
    before = tls.context()
    names[0].write_text("-----BEGIN CERT")
    assert not tls.refresh()
    assert tls.context() is before
    put(names, cert, key, authority.cert)
    assert tls.refresh()


@pytest.mark.parametrize(
    ("part", "make"),
    [
        ("cert", lambda own, other, _path: (*other.certificate("x"), own.cert)),
        ("cert", lambda own, _other, _path: (*own.certificate("x", "serverAuth"), own.cert)),
        ("cert", lambda own, _other, path: (path / "none", own.certificate("x")[1], own.cert)),
        ("key", lambda own, _other, _path: (own.certificate("x")[0], own.certificate("y")[1], own.cert)),
        ("key", lambda own, _other, path: (own.certificate("x")[0], path / "none", own.cert)),
        ("ca", lambda own, _other, path: (*own.certificate("x"), path / "none")),
        ("ca", lambda own, _other, _path: (*own.certificate("x"), own.certificate("x")[1])),
    ],
)
async def test_wrong_files_are_named(authority, stranger, tmp_path, part, make):
    with pytest.raises(BadCredentials) as told:
        MutualTls(*make(authority, stranger, tmp_path), Side.CLIENT)
    assert told.value.part == part
