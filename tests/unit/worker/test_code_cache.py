"""Code images on a worker, over the real store of local files."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from obstore.store import LocalStore

from aether.adapters.objects.code_store import ObjectCodeStore
from aether.domain.errors import InstanceFailed
from aether.worker.code_cache import CodeCache


@pytest.fixture
def store(tmp_path):
    return ObjectCodeStore(LocalStore(tmp_path / "store", mkdir=True))


async def put(store, tmp_path, content: bytes) -> str:
    image = tmp_path / "image"
    image.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    await store.put("fn-1", sha256, image)
    image.unlink()
    return sha256


async def test_an_image_is_fetched_once_for_all_who_ask(store, tmp_path):
    cache = CodeCache(store, tmp_path / "cache")
    sha256 = await put(store, tmp_path, b"code")
    paths = await asyncio.gather(*(cache.image("fn-1", sha256) for _ in range(10)))
    assert {path.read_bytes() for path in paths} == {b"code"}
    await store.remove("fn-1")
    assert (await cache.image("fn-1", sha256)).read_bytes() == b"code"


async def test_an_image_that_is_not_there_is_told(store, tmp_path):
    with pytest.raises(InstanceFailed, match="not in the code store"):
        await CodeCache(store, tmp_path / "cache").image("fn-1", "0" * 64)


async def test_a_damaged_image_never_runs(store, tmp_path):
    sha256 = await put(store, tmp_path, b"code")
    stored = tmp_path / "store" / "fn-1" / f"{sha256}.ext4"
    stored.unlink()
    stored.write_bytes(b"evil")
    with pytest.raises(InstanceFailed, match="damaged"):
        await CodeCache(store, tmp_path / "cache").image("fn-1", sha256)
    assert list((tmp_path / "cache").iterdir()) == []


async def test_images_that_nothing_names_go(store, tmp_path):
    cache = CodeCache(store, tmp_path / "cache")
    kept, gone = await put(store, tmp_path, b"kept"), await put(store, tmp_path, b"gone")
    await cache.image("fn-1", kept)
    await cache.image("fn-1", gone)
    cache.keep_only({kept})
    assert [path.stem for path in (tmp_path / "cache").iterdir()] == [kept]


def test_what_a_killed_fetch_left_is_swept(store, tmp_path):
    (tmp_path / ".abc.ext4.0f.partial").write_bytes(b"half")
    (tmp_path / "abc.ext4").write_bytes(b"whole")
    CodeCache(store, tmp_path).sweep()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["abc.ext4"]


def test_an_image_that_cannot_be_removed_ends_nothing(store, tmp_path):
    (tmp_path / "cache" / f"{'0' * 64}.ext4").mkdir(parents=True)  # for one
    image = tmp_path / "cache" / f"{'1' * 64}.ext4"
    image.touch()
    CodeCache(store, tmp_path / "cache").keep_only(set())
    assert not image.exists()
