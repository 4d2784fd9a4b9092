"""Code at a real S3 store: accounts that are wrong, stores that die, break off, lie, are slow or full."""

import asyncio
import hashlib
import os
import socket
import subprocess
import time
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
from tests.engines import running
from tests.proxies import network
from tests.s3 import S3Server

from aether.adapters.objects import s3
from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.objects.errors import NoBucket, Refused
from aether.adapters.objects.remote import PART_BYTES, RemoteBucket
from aether.adapters.objects.s3 import open_code_store
from aether.domain.errors import DiskFull, StoreUnavailable

MIB = 1 << 20
FULL_MINIO = (
    b"<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its limit</Message></Error>"
)


@pytest.fixture
def own_server():
    """One that may be killed, and starts empty."""
    with running(S3Server) as server:
        yield server


@pytest.fixture
def image_of(tmp_path):
    def make(content):
        sha256 = hashlib.sha256(content).hexdigest()
        path = tmp_path / f"image-{sha256[:8]}"
        path.write_bytes(content)
        return sha256, path

    return make


@contextmanager
def within(limit_s):
    begun_s = time.monotonic()
    yield
    assert time.monotonic() - begun_s < limit_s


@asynccontextmanager
async def over_network(server):
    async with network(server.port) as net:
        store = await open_code_store(server.account(endpoint=f"http://127.0.0.1:{net.port}"))
        yield net, store


@pytest.mark.parametrize(
    ("changes", "about", "says"),
    [
        ({"access_key": "somebody-else"}, "access_key", "does not know the access key"),
        ({"secret_key": "a-wrong-secret"}, "secret_key", "secret key is not the access key's"),
    ],
)
async def test_wrong_keys_are_told_apart_and_not_shown(s3_server, changes, about, says):
    account = s3_server.account(**changes)
    with pytest.raises(Refused, match=says) as refused:
        await open_code_store(account)
    assert refused.value.about == about
    assert "MINIO_" in refused.value.hint
    assert "a-wrong-secret" not in f"{refused.value} {refused.value.hint} {account}"


async def test_keys_that_are_taken_back_are_told_as_such(s3_server, image_of, tmp_path):
    store = await open_code_store(s3_server.account())
    wrong = s3._client(s3_server.account(secret_key="a-wrong-secret"), 5)
    store._bucket = RemoteBucket(wrong)
    for attempt in (
        store.put("fn-keys", *image_of(b"code")),
        store.fetch("fn-keys", "0" * 64, tmp_path / "out"),
        store.current_tag("fn-keys"),
        store.remove("fn-keys"),
    ):
        with pytest.raises(Refused):
            await attempt


async def test_missing_bucket_is_made_also_by_two_at_once(s3_server, image_of):
    account = s3_server.account(bucket="made-by-two")
    stores = await asyncio.gather(open_code_store(account), open_code_store(account))
    assert await stores[0].put("fn-1", *image_of(b"code")) == "made-by-two/fn-1/code.ext4"
    assert await stores[1].current_tag("fn-1")


async def test_bucket_that_is_lost_is_no_missing_code(own_server, image_of, tmp_path):
    store = await open_code_store(own_server.account())
    own_server.lose_everything()
    sha256, image = image_of(b"code")
    for attempt in (
        store.put("fn-1", sha256, image),
        store.fetch("fn-1", sha256, tmp_path / "out"),
        store.keep_only("fn-1", set()),
    ):
        with pytest.raises(NoBucket, match="no such bucket"):
            await attempt


async def test_dead_store_is_told_at_once(own_server, image_of, tmp_path):
    store = await open_code_store(own_server.account())
    sha256, image = image_of(b"code")
    own_server.kill()
    for attempt in (
        open_code_store(own_server.account()),
        store.put("fn-1", sha256, image),
        store.fetch("fn-1", sha256, tmp_path / "out"),
        store.current_tag("fn-1"),
    ):
        with within(3), pytest.raises(StoreUnavailable, match="does not answer: connection refused"):
            await attempt
    own_server.start()
    await store.put("fn-1", sha256, image)


async def test_frozen_store_is_told_within_seconds(own_server, image_of, tmp_path, monkeypatch):
    monkeypatch.setattr(s3, "ANSWER_WITHIN_S", 1)
    monkeypatch.setattr(s3, "TRIES_S", 1)
    store = await open_code_store(own_server.account())
    sha256, image = image_of(b"code")
    own_server.pause()
    fetching = store.fetch("fn-1", sha256, tmp_path / "out")
    with within(4):
        for outcome in await asyncio.gather(
            fetching, store.put("fn-1", sha256, image), return_exceptions=True
        ):
            assert isinstance(outcome, StoreUnavailable)
            assert outcome.message.endswith("does not answer: no answer in time")
    own_server.resume()
    await store.put("fn-1", sha256, image)
    assert s3.ANSWER_WITHIN_S + s3.TRIES_S <= 10


async def test_store_behind_a_wall_is_told_within_seconds(s3_server, monkeypatch):
    monkeypatch.setattr(s3, "CONNECT_WITHIN_S", 1)
    monkeypatch.setattr(s3, "TRIES_S", 1)
    with socket.socket() as wall, socket.socket() as first, socket.socket() as second:
        wall.bind(("127.0.0.1", 0))
        wall.listen(0)
        for caller in (first, second):  # they fill its queue: whoever comes then hears nothing
            caller.setblocking(False)
            with suppress(BlockingIOError):
                caller.connect(wall.getsockname())
        account = s3_server.account(endpoint=f"http://127.0.0.1:{wall.getsockname()[1]}")
        with within(4), pytest.raises(StoreUnavailable, match="does not answer: no answer in time"):
            await open_code_store(account)


async def test_slow_network_is_no_dead_store(s3_server, image_of, tmp_path, monkeypatch):
    monkeypatch.setattr(s3, "ANSWER_WITHIN_S", 1)
    async with over_network(s3_server) as (net, store):
        sha256, image = image_of(os.urandom(6 * MIB))
        net.bytes_per_s = 4 * MIB
        begun_s = time.monotonic()
        await store.put("fn-slow", sha256, image)
        await store.fetch("fn-slow", sha256, tmp_path / "out")
        assert time.monotonic() - begun_s > 2 * s3.ANSWER_WITHIN_S
        assert (tmp_path / "out").read_bytes() == image.read_bytes()


def test_parts_of_uploads_are_as_large_as_s3_wants_them():
    """The server of these tests takes smaller ones as well."""
    assert PART_BYTES >= 5 * MIB


async def test_store_killed_in_the_middle_of_an_upload_has_nothing_half(own_server, image_of, tmp_path):
    store = await open_code_store(own_server.account())
    await store.put("fn-1", *image_of(b"before"))
    sha256, image = image_of(os.urandom(PART_BYTES) * 4)
    folder = own_server.buckets / "function-code" / "fn-1"

    async def begun():
        while sum(path.stat().st_size for path in folder.glob(".*")) < PART_BYTES:
            await asyncio.sleep(0)

    putting = asyncio.ensure_future(store.put("fn-1", sha256, image))
    async with asyncio.timeout(20):
        await begun()
    own_server.kill()
    with pytest.raises(StoreUnavailable):
        await putting
    own_server.start()
    with pytest.raises(KeyError):
        await store.fetch("fn-1", sha256, tmp_path / "out")
    current = await store.fetch_current("fn-1", tmp_path / "out")
    assert current.sha256 == hashlib.sha256(b"before").hexdigest()
    await store.put("fn-1", sha256, image)
    assert (await store.fetch_current("fn-1", tmp_path / "out")).sha256 == sha256


async def test_store_killed_between_the_two_writes_keeps_the_current_code(own_server, image_of, tmp_path):
    class KilledBeforeCopy(RemoteBucket):
        async def copy(self, source, target):
            own_server.kill()
            await super().copy(source, target)

    store = await open_code_store(own_server.account())
    await store.put("fn-1", *image_of(b"before"))
    objects = store._bucket._store
    with pytest.raises(StoreUnavailable):
        await ObjectCodeStore(KilledBeforeCopy(objects)).put("fn-1", *image_of(b"after"))
    own_server.start()
    current = await store.fetch_current("fn-1", tmp_path / "out")
    assert current.sha256 == hashlib.sha256(b"before").hexdigest()
    await store.fetch("fn-1", current.sha256, tmp_path / "out")
    await store.put("fn-1", *image_of(b"after"))
    await store.keep_only("fn-1", {current.sha256})


async def test_download_that_is_cut_goes_on_where_it_was(s3_server, image_of, tmp_path):
    async with over_network(s3_server) as (net, store):
        content = os.urandom(20 * MIB)
        sha256, image = image_of(content)
        await store.put("fn-cut", sha256, image)
        left = [12 * MIB]

        def cut_once(data):
            before = left[0]
            left[0] -= len(data)
            if left[0] <= 0 < before:
                net.cut()
            return data

        net.alter = cut_once
        await store.fetch("fn-cut", sha256, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == content
        assert left[0] < 0


@pytest.mark.parametrize("known", [True, False], ids=["by its sha256", "by its MD5"])
async def test_download_with_a_wrong_byte_is_refused(s3_server, image_of, tmp_path, known):
    async with over_network(s3_server) as (net, store):
        sha256, image = image_of(os.urandom(MIB))
        await store.put("fn-lie", sha256, image)
        net.alter = lambda data: data[:-1] + bytes([data[-1] ^ 1]) if len(data) > 10_000 else data
        out = tmp_path / "into" / "out"
        out.parent.mkdir()
        fetching = store.fetch("fn-lie", sha256, out) if known else store.fetch_current("fn-lie", out)
        with pytest.raises(ValueError, match="is damaged"):
            await fetching
        assert list(out.parent.iterdir()) == []


class SmallServer(S3Server):
    """On a disk of 12 MB."""

    def command(self):
        inside = 'mount -t tmpfs -o size=12m tmpfs "$0" && exec "$@"'
        words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside, str(self.buckets)]
        return [*words, *super().command()]


async def test_full_disk_of_the_store_is_told_and_the_current_code_stays(image_of, tmp_path):
    with running(SmallServer) as server:
        store = await open_code_store(server.account())
        await store.put("fn-1", *image_of(b"before"))
        for size_mib in (7, 20):  # too large for the second write, and for the first, which is in parts
            with pytest.raises((StoreUnavailable, DiskFull)) as failed:
                await store.put("fn-1", *image_of(os.urandom(MIB) * size_mib))
            if isinstance(failed.value, DiskFull):  # other servers have a word for it
                continue
            assert "disk full" in failed.value.hint or "lost an upload" in failed.value.message
        current = await store.fetch_current("fn-1", tmp_path / "out")
        assert current.sha256 == hashlib.sha256(b"before").hexdigest()
        assert len(await store._bucket.names("fn-1")) == 2
        await store.put("fn-1", *image_of(b"after"))


async def test_store_that_says_that_it_is_full_is_told_as_that(image_of):
    """As MinIO does, which can't be had here. Source of the answer: MinIO, `cmd/api-errors.go`."""

    async def answer(reader, writer):
        full = (await reader.readuntil(b"\r\n\r\n")).startswith(b"PUT")
        if full:
            await reader.readexactly(len(b"code"))
        status, body = (b"507 Insufficient Storage", FULL_MINIO) if full else (b"404 Not Found", b"")
        head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body))
        writer.write(head + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = s3._client(s3.S3Account(f"http://127.0.0.1:{port}", "key", "secret"), 5)
        with pytest.raises(DiskFull):
            await ObjectCodeStore(RemoteBucket(client)).put("fn-1", *image_of(b"code"))


@pytest.fixture
def authority(tmp_path):
    """Makes certificates for 127.0.0.1; its own is the first it returns, as text."""
    folder = tmp_path / "authority"
    folder.mkdir()

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=tests")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
    usage = ("-addext", "basicConstraints=critical,CA:FALSE", "-subj", "/CN=s3")
    openssl("req", "-x509", *key, *signed, *usage, "-keyout", "s3.key", "-out", "s3.pem")
    return (folder / "ca.pem").read_text(), (folder / "s3.pem", folder / "s3.key")


async def test_tls_by_an_authority_of_ones_own(authority, image_of, tmp_path):
    ca_pem, certificate = authority

    class SecureServer(S3Server):
        pass

    SecureServer.certificate = certificate
    with running(SecureServer) as server:
        store = await open_code_store(server.account(ca_pem=ca_pem))
        sha256, image = image_of(b"code")
        await store.put("fn-1", sha256, image)
        await store.fetch("fn-1", sha256, tmp_path / "out")
        with within(4), pytest.raises(Refused, match="certificate is not trusted: UnknownIssuer") as refused:
            await open_code_store(server.account())
        assert refused.value.about == "ca_pem"
        wrong_name = f"https://localhost:{server.port}"
        with pytest.raises(Refused, match="certificate is not trusted: NotValidForName"):
            await open_code_store(server.account(ca_pem=ca_pem, endpoint=wrong_name))
