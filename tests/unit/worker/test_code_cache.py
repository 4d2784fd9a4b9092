"""Code images on a worker, over the real store of local files."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest
from obstore.store import LocalStore

from aether.adapters.objects.code_store import ObjectCodeStore
from aether.domain.errors import DiskFull, InstanceFailed, StoreUnavailable
from aether.domain.job import ProvisionJob
from aether.worker.code_cache import CodeCache

KB = 1000


class WatchedStore:
    """The real one, that counts what is fetched and may be told to fail first."""

    def __init__(self, store):
        self._store = store
        self.fetched = []
        self.looked = 0
        self.fail_with = []
        self.away = False

    async def put(self, *args):
        return await self._store.put(*args)

    async def remove(self, function_id):
        await self._store.remove(function_id)

    async def fetch(self, function_id, sha256, into):
        self.fetched.append(sha256)
        if self.fail_with:
            raise self.fail_with.pop(0)
        await self._store.fetch(function_id, sha256, into)

    async def fetch_current(self, function_id, into):
        self.fetched.append(function_id)
        if self.fail_with:
            raise self.fail_with.pop(0)
        return await self._store.fetch_current(function_id, into)

    async def current_tag(self, function_id):
        self.looked += 1
        if self.away:
            raise StoreUnavailable("away")
        return await self._store.current_tag(function_id)


@pytest.fixture
def store(tmp_path):
    return WatchedStore(ObjectCodeStore(LocalStore(tmp_path / "store", mkdir=True)))


@pytest.fixture
def put(store, tmp_path):
    """Content, or a size in bytes: its sha256."""

    async def put(content, function_id="fn-1"):
        content = os.urandom(content) if isinstance(content, int) else content
        image = tmp_path / "image"
        image.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        await store.put(function_id, sha256, image)
        image.unlink()
        return sha256

    return put


@pytest.fixture
def cache_of(store, tmp_path):
    """A cache as a process of the worker has it at its start."""

    def make(max_bytes=KB * KB):
        cache = CodeCache(store, tmp_path / "cache", max_bytes)
        cache.sweep()
        return cache

    return make


def job(sha256):
    return ProvisionJob("req-1", "fn-1", "node", "", 1, 128, 3000, {}, sha256, 30_000, "")


def images(tmp_path, function_id="fn-1"):
    return {path.stem for path in (tmp_path / "cache" / function_id).glob("*.ext4")}


async def test_an_image_is_fetched_once_for_all_who_ask(store, cache_of, put):
    cache, sha256 = cache_of(), await put(b"code")
    paths = await asyncio.gather(*(cache.image("fn-1", sha256, f"inst-{n}") for n in range(10)))
    assert {path.read_bytes() for path in paths} == {b"code"}
    assert store.fetched == [sha256]
    await store.remove("fn-1")
    assert (await cache.image("fn-1", sha256, "inst-11")).read_bytes() == b"code"


async def test_who_gives_up_while_it_is_fetched_leaves_that_to_the_next(store, cache_of, put):
    cache, sha256 = cache_of(), await put(b"code")
    first = asyncio.ensure_future(cache.image("fn-1", sha256, "inst-1"))
    second = asyncio.ensure_future(cache.image("fn-1", sha256, "inst-2"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).read_bytes() == b"code"


async def test_an_image_that_is_not_there_is_told(cache_of):
    with pytest.raises(InstanceFailed, match="not in the code store"):
        await cache_of().image("fn-1", "0" * 64, "inst-1")


@pytest.mark.parametrize(
    ("function_id", "sha256"),
    [("../fn-1", "0" * 64), ("", "0" * 64), ("fn-1", "../../etc/passwd"), ("fn-1", "0" * 63), ("..", "")],
)
async def test_names_that_lead_elsewhere_are_refused(cache_of, tmp_path, function_id, sha256):
    with pytest.raises(InstanceFailed, match="not a"):
        await cache_of().image(function_id, sha256, "inst-1")
    assert not (tmp_path / "cache").exists()


async def test_a_damaged_image_never_runs(store, cache_of, put, tmp_path):
    sha256 = await put(b"code")
    stored = tmp_path / "store" / "fn-1" / f"{sha256}.ext4"
    stored.unlink()
    stored.write_bytes(b"evil")
    with pytest.raises(InstanceFailed, match="damaged"):
        await cache_of().image("fn-1", sha256, "inst-1")
    assert len(store.fetched) == 3
    assert images(tmp_path) == set()


async def test_an_image_that_came_damaged_is_fetched_again(store, cache_of, put):
    sha256 = await put(b"code")
    store.fail_with = [ValueError("its sha256 is another"), ValueError("it came cut")]
    assert (await cache_of().image("fn-1", sha256, "inst-1")).read_bytes() == b"code"


async def test_a_store_that_is_away_is_told_as_that_and_asked_again_next_time(store, cache_of, put):
    cache, sha256 = cache_of(), await put(b"code")
    store.fail_with = [StoreUnavailable("away")]
    with pytest.raises(StoreUnavailable):
        await cache.image("fn-1", sha256, "inst-1")
    assert (await cache.image("fn-1", sha256, "inst-2")).read_bytes() == b"code"


async def test_the_least_recently_used_goes_when_there_is_too_much(cache_of, put, tmp_path):
    cache = cache_of(100 * KB)
    first, second, third = [await put(40 * KB) for _ in range(3)]
    for number, sha256 in enumerate((first, second, first, third)):
        await cache.image("fn-1", sha256, f"inst-{number}")
        cache.release(f"inst-{number}")
    assert images(tmp_path) == {first, third}


async def test_the_order_of_use_outlives_the_process(cache_of, put, tmp_path):
    cache = cache_of(200 * KB)
    first, second, third = [await put(40 * KB) for _ in range(3)]
    for number, sha256 in enumerate((first, second, first)):
        await cache.image("fn-1", sha256, f"inst-{number}")
        cache.release(f"inst-{number}")
    cache = cache_of(100 * KB)
    await cache.image("fn-1", third, "inst-4")
    assert images(tmp_path) == {first, third}


async def test_what_an_instance_uses_stays_however_much_there_is(cache_of, put, tmp_path):
    cache = cache_of(100 * KB)
    first, second, third, fourth = [await put(40 * KB) for _ in range(4)]
    for sha256 in (first, second, third):
        await cache.image("fn-1", sha256, f"inst-of-{sha256}")
    assert images(tmp_path) == {first, second, third}
    cache.release(f"inst-of-{second}")
    assert images(tmp_path) == {first, third}
    await cache.image("fn-1", fourth, "inst-4")
    assert images(tmp_path) == {first, third, fourth}


async def test_what_an_instance_uses_stays_over_a_restart(cache_of, put, tmp_path):
    cache = cache_of(100 * KB)
    first, second, third = [await put(40 * KB) for _ in range(3)]
    path = await cache.image("fn-1", first, "inst-1")
    await cache.image("fn-1", second, "inst-2")
    cache = cache_of(50 * KB)
    cache.adopt(job(first), "inst-1", path)
    await cache.image("fn-1", third, "inst-3")
    assert images(tmp_path) == {first, third}
    cache.forget("fn-1")
    assert images(tmp_path) == {first, third}
    cache.release("inst-1")
    cache.release("inst-3")
    assert not (tmp_path / "cache" / "fn-1").exists()


async def test_code_of_removed_functions_goes(cache_of, put, tmp_path):
    cache = cache_of()
    used, idle = await put(b"used"), await put(b"idle")
    other = await put(b"other", "fn-2")
    await cache.image("fn-1", idle, "inst-0")
    cache.release("inst-0")
    await cache.image("fn-1", used, "inst-1")
    await cache.image("fn-2", other, "inst-2")
    cache.release("inst-2")
    cache.forget("fn-1")
    assert images(tmp_path) == {used}
    cache.release("inst-1")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["fn-2"]
    cache.keep_functions({"fn-2", "fn-3"})
    assert images(tmp_path, "fn-2") == {other}
    cache.keep_functions({"fn-3"})
    assert list((tmp_path / "cache").iterdir()) == []


async def test_versions_that_no_gateway_names_go(cache_of, put, tmp_path):
    cache = cache_of()
    one, two, three, other = (
        await put(b"one"),
        await put(b"two"),
        await put(b"three"),
        await put(b"o", "fn-2"),
    )
    for sha256 in (one, two, three):
        await cache.image("fn-1", sha256, f"inst-{sha256}")
    await cache.image("fn-2", other, "inst-other")
    for sha256 in (one, three):
        cache.release(f"inst-{sha256}")
    cache.keep_versions("fn-1", {three})
    assert images(tmp_path) == {two, three}
    cache.release(f"inst-{two}")
    assert images(tmp_path) == {three}
    assert images(tmp_path, "fn-2") == {other}


async def test_current_code_stays_for_a_function_whose_version_names_no_other(cache_of, put, tmp_path):
    cache, sha256 = cache_of(), await put(b"code")
    await cache.image("fn-1", "", "inst-1")
    cache.release("inst-1")
    cache.keep_versions("fn-1", {""})
    assert images(tmp_path) == {sha256}
    cache.keep_versions("fn-1", {"0" * 64})
    assert not (tmp_path / "cache" / "fn-1").exists()


async def test_an_image_that_is_wanted_again_while_it_leaves_stays(cache_of, put, tmp_path):
    cache, sha256 = cache_of(), await put(b"code")
    await cache.image("fn-1", sha256, "inst-1")
    cache.forget("fn-1")
    await cache.image("fn-1", sha256, "inst-2")
    cache.release("inst-1")
    cache.release("inst-2")
    assert images(tmp_path) == {sha256}


async def test_a_full_disk_is_met_by_what_nobody_uses(store, cache_of, put, tmp_path):
    cache = cache_of()
    idle, used, wanted = [await put(KB) for _ in range(3)]
    await cache.image("fn-1", idle, "inst-0")
    cache.release("inst-0")
    await cache.image("fn-1", used, "inst-1")
    store.fail_with = [DiskFull("no room")]
    await cache.image("fn-1", wanted, "inst-2")
    assert images(tmp_path) == {used, wanted}
    store.fail_with = [DiskFull("no room")]
    with pytest.raises(DiskFull):
        await cache.image("fn-1", idle, "inst-3")
    assert images(tmp_path) == {used, wanted}


async def test_what_was_damaged_on_the_disk_is_fetched_again(store, cache_of, put):
    sha256 = await put(b"code")
    path = await cache_of().image("fn-1", sha256, "inst-1")
    path.unlink()
    path.write_bytes(b"c0de")
    assert (await cache_of().image("fn-1", sha256, "inst-1")).read_bytes() == b"code"
    assert store.fetched == [sha256, sha256]


async def test_what_is_whole_is_not_fetched_again_after_a_restart(store, cache_of, put):
    sha256 = await put(b"code")
    await cache_of().image("fn-1", sha256, "inst-1")
    await store.remove("fn-1")
    assert (await cache_of().image("fn-1", sha256, "inst-1")).read_bytes() == b"code"


async def test_an_image_that_somebody_took_away_is_fetched_again(cache_of, put):
    cache, sha256 = cache_of(), await put(b"code")
    (await cache.image("fn-1", sha256, "inst-1")).unlink()
    assert (await cache.image("fn-1", sha256, "inst-2")).read_bytes() == b"code"


def test_what_a_killed_fetch_left_is_swept(cache_of, tmp_path):
    folder = tmp_path / "cache" / "fn-1"
    folder.mkdir(parents=True)
    (folder / ".abc.ext4.0f.partial").write_bytes(b"half")
    (folder / ".coming").write_bytes(b"whole, and without a name")
    (folder / f"{'0' * 64}.ext4").write_bytes(b"whole")
    (tmp_path / "cache" / f"{'1' * 64}.ext4").write_bytes(b"as an earlier version kept it")
    cache_of()
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left == [f"{'0' * 64}.ext4"]


def test_an_image_that_cannot_be_removed_ends_nothing(cache_of, tmp_path):
    folder = tmp_path / "cache" / "fn-1"
    (folder / f"{'0' * 64}.ext4").mkdir(parents=True)  # for one
    (folder / f"{'1' * 64}.ext4").touch()
    cache_of().keep_functions(set())
    assert images(tmp_path) <= {"0" * 64}


async def test_code_of_a_foreign_gateway_is_fetched_again_when_it_changed(store, cache_of, put, tmp_path):
    cache = cache_of()
    one = await put(b"one")
    assert (await cache.image("fn-1", "", "inst-1")).read_bytes() == b"one"
    assert (await cache.image("fn-1", "", "inst-2")).stem == one
    assert store.fetched == ["fn-1"]
    two = await put(b"two")
    assert (await cache.image("fn-1", "", "inst-3")).read_bytes() == b"two"
    assert images(tmp_path) == {one, two}
    cache.release("inst-1")
    cache.release("inst-2")
    assert images(tmp_path) == {two}
    assert cache.foreign() == {"fn-1": ["inst-3"]}


async def test_foreign_code_that_is_the_same_is_not_fetched_after_a_restart(store, cache_of, put):
    await put(b"code")
    path = await cache_of().image("fn-1", "", "inst-1")
    cache = cache_of()
    cache.adopt(job(""), "inst-1", path)
    cache.keep_functions(set())  # no gateway of ours knows it
    assert await cache.image("fn-1", "", "inst-2") == path
    assert store.fetched == ["fn-1"]
    assert cache.foreign() == {"fn-1": ["inst-1", "inst-2"]}


async def test_instances_of_foreign_code_that_changed_are_told(store, cache_of, put, tmp_path):
    cache, one = cache_of(), await put(b"one")
    await cache.image("fn-1", "", "inst-1")
    await cache.image("fn-1", one, "inst-ours")
    assert await cache.outdated("fn-1") == []
    await put(b"two")
    assert await cache.outdated("fn-1") == ["inst-1"]
    await cache.image("fn-1", "", "inst-2")
    assert await cache.outdated("fn-1") == ["inst-1"]
    assert store.fetched == ["fn-1", "fn-1"]
    await store.remove("fn-1")
    assert await cache.outdated("fn-1") == ["inst-1", "inst-2"]
    for instance_id in ("inst-1", "inst-2", "inst-ours"):
        cache.release(instance_id)
    assert not (tmp_path / "cache" / "fn-1").exists()


async def test_foreign_code_that_is_put_again_ends_nothing(store, cache_of, put):
    cache = cache_of()
    await put(b"one")
    await cache.image("fn-1", "", "inst-1")
    await store.remove("fn-1")
    await put(b"one")
    assert await cache.outdated("fn-1") == []


async def test_foreign_code_that_is_here_is_used_while_the_store_is_away(store, cache_of, put):
    cache = cache_of()
    await put(b"code", "fn-1")
    await put(b"other", "fn-2")
    path = await cache.image("fn-1", "", "inst-1")
    store.away = True
    assert await cache.image("fn-1", "", "inst-2") == path
    with pytest.raises(StoreUnavailable):
        await cache.image("fn-2", "", "inst-3")
    with pytest.raises(StoreUnavailable):
        await cache.outdated("fn-1")


async def test_function_without_code_is_told(cache_of):
    with pytest.raises(InstanceFailed, match="of fn-1 is not in the code store"):
        await cache_of().image("fn-1", "", "inst-1")


async def test_foreign_code_comes_once_for_all_who_ask(store, cache_of, put):
    cache = cache_of()
    await put(b"code")
    await asyncio.gather(*(cache.image("fn-1", "", f"inst-{n}") for n in range(10)))
    assert store.fetched == ["fn-1"]
    assert store.looked == 10


async def test_a_function_whose_id_no_image_can_have_is_none_to_it(tmp_path):
    """One that was taken over, say: the registry names it, and that ends no worker."""
    cache = CodeCache(ObjectCodeStore(LocalStore(tmp_path / "store", mkdir=True)), tmp_path / "cache")
    cache.keep_versions("a b", {""})
    cache.forget("a b")
    cache.keep_functions(["a b"])
    assert cache.foreign() == {}
