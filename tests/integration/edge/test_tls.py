"""HTTPS with real certificates, and what happens when their files change."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess

import pytest
import structlog
from tests.integration.edge.conftest import make_certificate, trusting

from aether.cli.client import Client
from aether.cli.failures import Unreachable
from aether.cli.refusal import ApiRefused
from aether.gateway.tls import BadCertificate, Certificate

GET = b"GET /functions/hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def files(tmp_path):
    return make_certificate(tmp_path)


async def test_a_call_over_https_says_so_to_the_function(hops, files):
    both = await hops(tls=Certificate(*files).context)
    context = trusting(files[0])
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = await both.connect(context)
    assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    client.send(GET)
    function = await both.function()
    assert b"X-Forwarded-Proto: https\r\n" in await function.head()
    function.send(OK)
    assert (await client.response())[1] == b"ok"


async def test_a_websocket_over_https_ends_when_the_function_ends_it(hops, files):
    both = await hops(tls=Certificate(*files).context)
    client = await both.connect(trusting(files[0]))
    client.send(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    function = await both.function()
    await function.head()
    function.send(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
    await client.head()
    client.send(b"there")
    assert await function.exactly(5) == b"there"
    function.send(b"bye")
    function.writer.close()
    assert await client.rest() == b"hellobye"


async def test_large_bodies_pass_over_https(hops, files):
    both = await hops(tls=Certificate(*files).context)
    client = await both.connect(trusting(files[0]))
    size = 8_000_000
    client.send(GET[:-2] + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
    function = await both.function()
    await function.head()
    assert await function.exactly(size) == b"x" * size
    function.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size)
    assert (await client.response())[1] == b"y" * size


async def test_the_function_learns_that_a_client_over_https_is_gone(hops, files):
    both = await hops(tls=Certificate(*files).context)
    client = await both.connect(trusting(files[0]))
    client.send(GET)
    function = await both.function()
    await function.head()
    client.writer.close()
    await function.closed(1)


async def test_plain_http_and_silence_get_nothing(hops, files):
    both = await hops(tls=Certificate(*files).context, head_timeout_s=0.3)
    plain = await both.connect()
    plain.send(GET)
    await plain.closed(2)
    silent = await both.connect()
    await silent.closed(2)


async def test_connections_count_before_their_handshake_is_done(hops, files):
    both = await hops(tls=Certificate(*files).context, max_connections=3)
    silent = [await both.connect() for _ in range(3)]
    one_more = await both.connect(trusting(files[0]))
    assert (await one_more.response())[0].startswith(b"HTTP/1.1 503 ")
    silent[0].reset()
    await _served(both, files)


async def test_a_clients_own_limit_counts_its_handshakes(hops, files):
    both = await hops(tls=Certificate(*files).context, max_connections_per_client=1)
    silent = await both.connect()
    one_more = await both.connect(trusting(files[0]))
    assert (await one_more.response())[0].startswith(b"HTTP/1.1 503 ")
    silent.reset()
    await _served(both, files)


async def test_handshakes_that_never_end_leave_no_place_taken(hops, files):
    both = await hops(tls=Certificate(*files).context, max_connections=3, head_timeout_s=0.3)
    silent = [await both.connect() for _ in range(3)]
    for each in silent:
        await each.closed(3)
    nonsense = [await both.connect() for _ in range(3)]
    for each in nonsense:
        each.send(GET)
        await each.closed(3)
    await _served(both, files)


async def test_those_far_too_many_are_closed_without_a_handshake(hops, files, monkeypatch):
    monkeypatch.setattr("aether.http.relay._MAX_REFUSED", 2)
    both = await hops(tls=Certificate(*files).context, max_connections=3, head_timeout_s=60)
    silent = [await both.connect() for _ in range(5)]
    for _ in range(20):
        await (await both.connect()).closed(5)
    for each in silent:
        each.reset()
    await _served(both, files)


async def _served(both, files):
    """A call over HTTPS is answered, as soon as it is noticed that others went."""
    function = asyncio.ensure_future(both.function())
    async with asyncio.timeout(5):
        while not function.done():
            with contextlib.suppress(OSError):
                client = await both.connect(trusting(files[0]))
                client.send(GET)
                refused = asyncio.ensure_future(client.reader.readuntil(b"\r\n"))
                await asyncio.wait({function, refused}, return_when=asyncio.FIRST_COMPLETED)
                refused.cancel()
                await asyncio.gather(refused, return_exceptions=True)
    peer = await function
    await peer.head()
    peer.send(OK)
    assert (await client.response())[1] == b"ok"


async def test_a_new_pair_is_served_and_a_bad_one_is_not(hops, files, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    other = make_certificate(new)
    certificate = Certificate(*files)
    both = await hops(tls=certificate.context)
    old_chain = tmp_path / "old.pem"
    shutil.copy(files[0], old_chain)
    await both.connect(trusting(old_chain))
    assert not certificate.refresh()

    shutil.copy(other[0], files[0])  # the key is still the old one
    with structlog.testing.capture_logs() as logs:
        assert not certificate.refresh()
    assert "is not the key of" in logs[0]["reason"]
    await both.connect(trusting(old_chain))

    shutil.copy(other[1], files[1])
    assert certificate.refresh()
    await both.connect(trusting(other[0]))
    with pytest.raises(ssl.SSLCertVerificationError):
        await both.connect(trusting(old_chain))

    files[1].unlink()
    assert not certificate.refresh()
    await both.connect(trusting(other[0]))


async def test_changes_are_noticed_without_being_asked(files, tmp_path, monkeypatch):
    monkeypatch.setattr("aether.gateway.tls.LOOK_EVERY_S", 0.01)
    certificate = Certificate(*files)
    follow = asyncio.ensure_future(certificate.follow())
    files[0].write_text("nonsense")
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(5):
            while not logs:
                await asyncio.sleep(0)
    assert "can't be served" in logs[0]["reason"]
    follow.cancel()
    await asyncio.gather(follow, return_exceptions=True)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_file_is_named(files, missing):
    files[missing].unlink()
    with pytest.raises(BadCertificate) as refused:
        Certificate(*files)
    assert files[missing].name in refused.value.message
    assert list(refused.value.fields) == [("tls_cert", "tls_key")[missing]]


def test_an_encrypted_key_is_said_to_be_one(files):
    encrypted = files[1].with_name("encrypted.key")
    subprocess.run(
        ["openssl", "pkey", "-in", files[1], "-aes256", "-passout", "pass:x", "-out", encrypted], check=True
    )
    with pytest.raises(BadCertificate, match="encrypted"):
        Certificate(files[0], encrypted)


def test_what_is_no_certificate_is_refused(files):
    files[0].write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    with pytest.raises(BadCertificate, match="can't be served"):
        Certificate(*files)


async def test_the_command_line_trusts_the_certificate_that_it_is_named(hops, files, monkeypatch):
    both = await hops(tls=Certificate(*files).context)
    url = f"https://localhost:{both.address[1]}"

    def ask():
        with Client(url) as client:
            client.functions()

    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(Unreachable) as refused:
        await asyncio.to_thread(ask)
    assert "SSL_CERT_FILE" in refused.value.hint
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    with pytest.raises(ApiRefused, match="management API"):  # there is none here, but the edge said so
        await asyncio.to_thread(ask)
