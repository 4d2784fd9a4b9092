"""What every code store does: `aether.ports.code_store`."""

import asyncio
import hashlib
import os

import pytest
from obstore.store import LocalStore, MemoryStore

from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.objects.remote import RemoteBucket
from aether.adapters.objects.s3 import open_code_store
from aether.domain.errors import StoreUnavailable
from aether.ports.code_store import CurrentCode

MISSING = "0" * 64


@pytest.fixture
def image_of(tmp_path):
    """A new image file with these bytes: (sha256, path)."""
    made = iter(range(1000))

    def make(content):
        path = tmp_path / f"image-{next(made)}"
        path.write_bytes(content)
        return hashlib.sha256(content).hexdigest(), path

    return make


class CodeStoreContract:
    @pytest.fixture
    async def store(self):
        raise NotImplementedError

    async def damage(self, store, key, content):
        """Overwrite a stored object behind the store's back."""
        raise NotImplementedError

    async def keys(self, store):
        raise NotImplementedError

    async def test_image_comes_back_as_it_was_put(self, store, image_of, tmp_path):
        content = os.urandom(10_000_000)
        sha256, image = image_of(content)
        assert await store.put("fn-1", sha256, image) == "function-code/fn-1/code.ext4"
        assert image.read_bytes() == content
        await store.fetch("fn-1", sha256, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == content

    async def test_objects_are_where_other_programs_look(self, store, image_of):
        (one, first), (two, second) = image_of(b"one"), image_of(b"two")
        await store.put("fn-1", one, first)
        await store.put("fn-1", two, second)
        assert await self.keys(store) == {
            f"fn-1/{one}.ext4": b"one",
            f"fn-1/{two}.ext4": b"two",
            "fn-1/code.ext4": b"two",
        }

    async def test_earlier_version_can_be_current_again(self, store, image_of):
        (one, first), (two, second) = image_of(b"one"), image_of(b"two")
        for sha256, image in ((one, first), (two, second), (one, first), (one, first)):
            await store.put("fn-1", sha256, image)
        keys = await self.keys(store)
        assert keys["fn-1/code.ext4"] == b"one"
        assert len(keys) == 3

    async def test_image_outlives_the_file_it_was_put_from(self, store, image_of, tmp_path):
        sha256, image = image_of(b"code")
        await store.put("fn-1", sha256, image)
        image.unlink()
        await store.fetch("fn-1", sha256, tmp_path / "out")
        await store.remove("fn-1")
        assert (tmp_path / "out").read_bytes() == b"code"

    async def test_unknown_image_is_a_key_error_and_leaves_nothing(self, store, image_of, tmp_path):
        sha256, image = image_of(b"code")
        await store.put("fn-1", sha256, image)
        (tmp_path / "into").mkdir()
        for function_id, wanted in (("fn-1", MISSING), ("fn-2", sha256)):
            with pytest.raises(KeyError):
                await store.fetch(function_id, wanted, tmp_path / "into" / "out")
        assert list((tmp_path / "into").iterdir()) == []

    async def test_damaged_image_is_refused_and_the_old_file_untouched(self, store, image_of, tmp_path):
        sha256, image = image_of(b"code")
        await store.put("fn-1", sha256, image)
        await self.damage(store, f"fn-1/{sha256}.ext4", b"c0de")
        (tmp_path / "into").mkdir()
        into = tmp_path / "into" / "out"
        into.write_bytes(b"before")
        with pytest.raises(ValueError, match="damaged"):
            await store.fetch("fn-1", sha256, into)
        assert into.read_bytes() == b"before"
        assert list(into.parent.iterdir()) == [into]

    async def test_putting_again_heals_a_damaged_image(self, store, image_of, tmp_path):
        sha256, image = image_of(b"code")
        await store.put("fn-1", sha256, image)
        await self.damage(store, f"fn-1/{sha256}.ext4", b"c0de")
        await store.put("fn-1", *image_of(b"code"))
        await store.fetch("fn-1", sha256, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == b"code"

    async def test_image_that_is_not_what_it_says_is_not_stored(self, store, image_of):
        _, image = image_of(b"code")
        with pytest.raises(ValueError, match="sha256"):
            await store.put("fn-1", MISSING, image)
        assert await self.keys(store) == {}

    async def test_fetch_replaces_what_is_there(self, store, image_of, tmp_path):
        sha256, image = image_of(b"code")
        await store.put("fn-1", sha256, image)
        (tmp_path / "into").mkdir()
        into = tmp_path / "into" / "out"
        into.write_bytes(b"before")
        await store.fetch("fn-1", sha256, into)
        await store.fetch("fn-1", sha256, into)
        assert into.read_bytes() == b"code"
        assert list(into.parent.iterdir()) == [into]

    async def test_current_code_is_fetched_without_knowing_its_sha256(self, store, image_of, tmp_path):
        (one, first), (two, second) = image_of(os.urandom(9_000_000)), image_of(b"two")
        await store.put("fn-1", one, first)
        tag = await store.current_tag("fn-1")
        fetched = await store.fetch_current("fn-1", tmp_path / "out")
        assert fetched == CurrentCode(tag, one)
        assert (tmp_path / "out").read_bytes() == first.read_bytes()
        await store.put("fn-1", two, second)
        assert await store.current_tag("fn-1") != tag
        assert (await store.fetch_current("fn-1", tmp_path / "out")).sha256 == two
        assert (tmp_path / "out").read_bytes() == b"two"

    async def test_current_code_by_another_hand_is_seen_and_fetched(self, store, image_of, tmp_path):
        await store.put("fn-1", *image_of(b"code"))
        tag = await store.current_tag("fn-1")
        await self.damage(store, "fn-1/code.ext4", b"c0de")
        assert await store.current_tag("fn-1") != tag
        fetched = await store.fetch_current("fn-1", tmp_path / "out")
        assert fetched.tag == await store.current_tag("fn-1")
        assert fetched.sha256 == hashlib.sha256(b"c0de").hexdigest()

    async def test_current_code_is_kept_under_its_sha256(self, store, image_of, tmp_path):
        (one, first), (two, second) = image_of(b"one"), image_of(b"two")
        await store.put("fn-1", one, first)
        await store.keep_only("fn-1", set())
        assert not await store.has("fn-1", one)
        assert await store.keep_current("fn-1", tmp_path / "through") == one
        assert await store.keep_current("fn-1", tmp_path / "through") == one
        assert await store.has("fn-1", one)
        await store.put("fn-1", two, second)
        await store.fetch("fn-1", one, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == b"one"
        with pytest.raises(KeyError):
            await store.keep_current("fn-none", tmp_path / "through")

    async def test_image_that_is_only_the_current_one_is_found(self, store, image_of, tmp_path):
        (one, first), (two, second) = image_of(b"one"), image_of(b"two")
        await store.put("fn-1", one, first)
        await store.put("fn-1", two, second)
        await store.keep_only("fn-1", set())
        await store.fetch("fn-1", two, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == b"two"
        with pytest.raises(KeyError):
            await store.fetch("fn-1", one, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == b"two"

    async def test_function_without_current_code_is_a_key_error(self, store, tmp_path):
        with pytest.raises(KeyError):
            await store.current_tag("fn-1")
        with pytest.raises(KeyError):
            await store.fetch_current("fn-1", tmp_path / "out")
        assert list(tmp_path.iterdir()) in ([], [tmp_path / "function-code"])

    async def test_only_versions_asked_for_are_kept(self, store, image_of):
        images = [image_of(content) for content in (b"one", b"two", b"three")]
        for sha256, image in images:
            await store.put("fn-1", sha256, image)
        await store.put("fn-2", *images[0])
        await store.keep_only("fn-1", {images[1][0], MISSING})
        assert set(await self.keys(store)) == {
            f"fn-1/{images[1][0]}.ext4",
            "fn-1/code.ext4",
            f"fn-2/{images[0][0]}.ext4",
            "fn-2/code.ext4",
        }
        await store.keep_only("fn-none", set())

    async def test_removed_function_has_nothing_left(self, store, image_of):
        sha256, image = image_of(b"code")
        await store.put("fn-1", sha256, image)
        await store.put("fn-10", sha256, image)
        await store.remove("fn-1")
        await store.remove("fn-1")
        assert set(await self.keys(store)) == {f"fn-10/{sha256}.ext4", "fn-10/code.ext4"}

    async def test_many_put_and_fetch_at_once(self, store, image_of, tmp_path):
        images = [image_of(os.urandom(300_000)) for _ in range(5)]

        async def work(number):
            sha256, image = images[number % 5]
            await store.put("fn-1", sha256, image)
            await store.fetch("fn-1", sha256, tmp_path / f"out-{number % 3}")

        async with asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(work(number))
        keys = await self.keys(store)
        assert len(keys) == 6
        assert keys["fn-1/code.ext4"] in {image.read_bytes() for _, image in images}
        assert not list(tmp_path.glob(".*"))

    async def test_cancelled_transfers_leave_nothing_unfinished(self, store, image_of, tmp_path):
        sha256, image = image_of(os.urandom(20_000_000))
        (tmp_path / "into").mkdir()
        into = tmp_path / "into" / "out"
        for turns in range(0, 40, 4):
            putting = asyncio.ensure_future(store.put("fn-1", sha256, image))
            for _ in range(turns):
                await asyncio.sleep(0)
            putting.cancel()
            await asyncio.wait([putting])
        await store.put("fn-1", sha256, image)
        for turns in range(0, 40, 4):
            fetching = asyncio.ensure_future(store.fetch("fn-1", sha256, into))
            for _ in range(turns):
                await asyncio.sleep(0)
            fetching.cancel()
            await asyncio.wait([fetching])
            assert {path.name for path in into.parent.iterdir()} <= {"out"}
            assert not into.exists() or into.stat().st_size == 20_000_000
        assert len(await self.keys(store)) == 2

    @pytest.mark.parametrize("function_id", ["../fn-1", "", "a/b", ".hidden"])
    async def test_ids_that_lead_elsewhere_are_refused(self, store, image_of, tmp_path, function_id):
        sha256, image = image_of(b"code")
        for attempt in (
            store.put(function_id, sha256, image),
            store.fetch(function_id, sha256, tmp_path / "out"),
            store.remove(function_id),
            store.keep_only(function_id, set()),
            store.current_tag(function_id),
            store.has(function_id, sha256),
            store.fetch_current(function_id, tmp_path / "out"),
        ):
            with pytest.raises(ValueError, match="not a function id"):
                await attempt
        assert await self.keys(store) == {}


class TestLocalCodeStore(CodeStoreContract):
    @pytest.fixture
    async def store(self, tmp_path):
        self.root = tmp_path / "function-code"
        return ObjectCodeStore(LocalStore(self.root, mkdir=True))

    async def damage(self, store, key, content):
        (self.root / key).unlink()
        (self.root / key).write_bytes(content)

    async def keys(self, store):
        """Everything there is, so that nothing unfinished goes unseen."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}

    async def test_storage_is_shared_not_copied(self, store, image_of, tmp_path):
        sha256, image = image_of(b"code")
        await store.put("fn-1", sha256, image)
        await store.fetch("fn-1", sha256, tmp_path / "out")
        assert (tmp_path / "out").samefile(image)
        assert (self.root / "fn-1" / "code.ext4").samefile(image)

    async def test_image_that_can_not_become_current_is_not_stored(self, store, image_of):
        sha256, image = image_of(b"code")
        (self.root / "fn-1" / "code.ext4").mkdir(parents=True)
        with pytest.raises(StoreUnavailable):
            await store.put("fn-1", sha256, image)
        assert await self.keys(store) == {}

    async def test_what_a_kill_left_is_cleared_with_old_versions(self, store, image_of):
        sha256, image = image_of(b"code")
        await store.put("fn-1", sha256, image)
        (self.root / "fn-1" / f".{sha256}.ext4.0123abcd.partial").write_bytes(b"co")
        await store.keep_only("fn-1", {sha256})
        assert len(await self.keys(store)) == 2


class StreamedCodeStoreContract(CodeStoreContract):
    """Over a store that obstore reaches, as it would S3."""

    def bucket(self, tmp_path):
        raise NotImplementedError

    @pytest.fixture
    async def store(self, tmp_path):
        self.objects = self.bucket(tmp_path)
        return ObjectCodeStore(RemoteBucket(self.objects))

    async def damage(self, store, key, content):
        await self.objects.put_async(key, content)

    async def keys(self, store):
        found = await self.objects.list().collect_async()
        paths = [entry["path"] for entry in found]
        return {path: bytes(await (await self.objects.get_async(path)).bytes_async()) for path in paths}


class TestMemoryCodeStore(StreamedCodeStoreContract):
    def bucket(self, tmp_path):
        return MemoryStore()


class TestStreamedFilesCodeStore(StreamedCodeStoreContract):
    """Real transfers, in parts."""

    def bucket(self, tmp_path):
        return LocalStore(tmp_path / "function-code", mkdir=True)


class TestS3CodeStore(CodeStoreContract):
    @pytest.fixture
    async def store(self, s3_server):
        self.root = s3_server.buckets / "function-code"
        store = await open_code_store(s3_server.account())
        self.objects = store._bucket._store
        yield store
        for entry in await self.objects.list().collect_async():
            await self.objects.delete_async(entry["path"])

    async def damage(self, store, key, content):
        await self.objects.put_async(key, content)

    async def keys(self, store):
        """Everything there is, so that nothing unfinished goes unseen."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}
