"""A worker's code cache over a real S3 store and a network that breaks, lies and ends."""

import asyncio
import hashlib
import os
from contextlib import asynccontextmanager

import pytest
from tests.proxies import network

from aether.adapters.objects.s3 import open_code_store
from aether.domain.errors import InstanceFailed, StoreUnavailable
from aether.worker.code_cache import CodeCache

MIB = 1 << 20


class Lying:
    """Turns a bit of one large block that comes back, so many times."""

    def __init__(self, times):
        self.times = times

    def __call__(self, data):
        if len(data) < 10_000 or not self.times:
            return data
        self.times -= 1
        return data[:-1] + bytes([data[-1] ^ 1])


@pytest.fixture
async def stored(s3_server, tmp_path):
    """A function's code at the real store, and its sha256."""
    image = tmp_path / "image"
    image.write_bytes(os.urandom(8 * MIB))
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    store = await open_code_store(s3_server.account())
    await store.put("fn-cached", sha256, image)
    yield store, sha256, image
    await store.remove("fn-cached")


@asynccontextmanager
async def cache_over_network(server, directory):
    async with network(server.port) as net:
        store = await open_code_store(server.account(endpoint=f"http://127.0.0.1:{net.port}"))
        cache = CodeCache(store, directory)
        cache.sweep()
        yield net, cache


def files(directory):
    return [path for path in directory.rglob("*") if path.is_file() and path.name != "current"]


@pytest.mark.parametrize("known", [True, False], ids=["by sha256", "by ETag"])
async def test_image_that_came_corrupt_is_fetched_again_and_never_seen(s3_server, stored, tmp_path, known):
    _, sha256, image = stored
    async with cache_over_network(s3_server, tmp_path / "cache") as (net, cache):
        net.alter = Lying(times=2)
        path = await cache.image("fn-cached", sha256 if known else "", "inst-1")
        assert path.read_bytes() == image.read_bytes()
        assert net.alter.times == 0
        assert files(tmp_path / "cache") == [path]


async def test_network_that_always_lies_starts_nothing(s3_server, stored, tmp_path):
    _, sha256, _ = stored
    async with cache_over_network(s3_server, tmp_path / "cache") as (net, cache):
        net.alter = Lying(times=1000)
        with pytest.raises(InstanceFailed, match="is damaged"):
            await cache.image("fn-cached", sha256, "inst-1")
        assert files(tmp_path / "cache") == []
        net.alter = bytes
        await cache.image("fn-cached", sha256, "inst-2")


async def test_download_that_is_cut_again_and_again_is_told_and_tried_anew(s3_server, stored, tmp_path):
    _, sha256, image = stored
    async with cache_over_network(s3_server, tmp_path / "cache") as (net, cache):

        def cut(data):
            if len(data) > 10_000:
                net.cut()
            return data

        net.alter = cut
        with pytest.raises(StoreUnavailable):
            await cache.image("fn-cached", sha256, "inst-1")
        assert files(tmp_path / "cache") == []
        net.alter = bytes
        path = await cache.image("fn-cached", sha256, "inst-2")
        assert path.read_bytes() == image.read_bytes()


async def test_one_download_serves_all_who_wait(s3_server, stored, tmp_path):
    _, sha256, _ = stored
    async with cache_over_network(s3_server, tmp_path / "cache") as (net, cache):
        passed = []
        net.alter = lambda data: passed.append(len(data)) or data
        await asyncio.gather(*(cache.image("fn-cached", sha256, f"inst-{n}") for n in range(20)))
        assert 8 * MIB < sum(passed) < 9 * MIB


async def test_current_code_is_looked_at_and_not_fetched_again(s3_server, stored, tmp_path):
    store, _, image = stored
    async with cache_over_network(s3_server, tmp_path / "cache") as (net, cache):
        await cache.image("fn-cached", "", "inst-1")
        passed = []
        net.alter = lambda data: passed.append(len(data)) or data
        await cache.image("fn-cached", "", "inst-2")
        assert await cache.outdated("fn-cached") == []
        assert sum(passed) < 10_000
        image.write_bytes(b"changed")
        await store.put("fn-cached", hashlib.sha256(b"changed").hexdigest(), image)
        assert await cache.outdated("fn-cached") == ["inst-1", "inst-2"]
        assert (await cache.image("fn-cached", "", "inst-3")).read_bytes() == b"changed"
