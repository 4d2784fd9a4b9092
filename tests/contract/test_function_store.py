"""What every function store does: `aether.ports.function_store`."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.databases import emptied

from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.domain.errors import FunctionNotFound, InvalidRequest, NameTaken
from aether.domain.function import Function, Limits, Version

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def a_version(revision=1, **changes):
    version = Version(revision, "node", "handler.js", "", 1, 128, 3000, {})
    return replace(version, **changes)


def a_function(number=1, **changes):
    at = NOW + timedelta(seconds=number)
    return replace(Function(f"fn-{number}", f"name-{number}", a_version(), "", at, at), **changes)


class FunctionStoreContract:
    @pytest.fixture
    async def store(self):
        raise NotImplementedError

    async def test_function_is_found_by_id_and_by_name(self, store):
        await store.create(a_function())
        assert await store.get("fn-1") == await store.get("name-1") == a_function()

    async def test_domain_is_one_functions_only(self, store):
        await store.create(a_function(1, domains=("shop.example.com",)))
        with pytest.raises(NameTaken) as taken:
            await store.create(a_function(2, domains=("other.example.com", "shop.example.com")))
        assert taken.value.fields == {"domains": "taken: shop.example.com"}
        await store.create(a_function(2))
        with pytest.raises(NameTaken):
            await store.update(a_function(2, domains=("shop.example.com",)))
        assert (await store.get("fn-2")).domains == ()

    async def test_domain_is_free_again_when_its_function_gives_it_up_or_goes(self, store):
        await store.create(a_function(1, domains=("shop.example.com",)))
        await store.update(a_function(1, domains=()))
        await store.create(a_function(2, domains=("shop.example.com",)))
        await store.delete("fn-2")
        await store.update(a_function(1, domains=("shop.example.com",)))
        assert (await store.get("fn-1")).domains == ("shop.example.com",)

    async def test_every_field_is_kept(self, store):
        version = a_version(7, runtime="python", entrypoint="a b.py", code_sha256="ab" * 32, vcpu=4)
        version = replace(
            version, memory_mb=512, port=8080, env_vars={"ÄPFEL": "grüß 'dich'\n\"\\\u2028", "E": ""}
        )
        function = a_function(
            version=version,
            code_path="function-code/fn-1/code.ext4",
            limits=Limits(timeout_s=0.25, max_instances=3, scale_to_zero_after_s=1.5),
            good=replace(version, revision=6, vcpu=2, env_vars={}),
            updated_at=NOW + timedelta(days=1),
            domains=("a.example.com", "b.example.com"),
            archive_sha256="cd" * 32,
        )
        await store.create(function)
        assert await store.get("fn-1") == function

    async def test_times_of_any_zone_come_back_in_utc(self, store):
        local = NOW.astimezone(timezone(timedelta(hours=-7)))
        await store.create(a_function(created_at=local))
        found = await store.get("fn-1")
        assert found.created_at == NOW
        assert found.created_at.utcoffset() == timedelta(0)

    async def test_unknown_function_is_not_found(self, store):
        for attempt in (
            store.get("fn-1"),
            store.update(a_function()),
            store.update(a_function(), expected_generation=1),
            store.delete("fn-1"),
        ):
            with pytest.raises(FunctionNotFound):
                await attempt
        assert await store.list() == []

    async def test_id_comes_before_a_name_that_looks_like_it(self, store):
        await store.create(a_function(1, name="fn-2"))
        await store.create(a_function(2))
        assert (await store.get("fn-2")).id == "fn-2"

    async def test_taken_name_is_refused_and_changes_nothing(self, store):
        await store.create(a_function(1))
        await store.create(a_function(2))
        with pytest.raises(NameTaken):
            await store.create(a_function(3, name="name-1"))
        with pytest.raises(NameTaken):
            await store.update(a_function(2, name="name-1", code_path="changed"))
        assert await store.list() == [a_function(1), a_function(2)]

    async def test_one_of_many_gets_a_name(self, store):
        attempts = [store.create(a_function(number, name="wanted")) for number in range(10)]
        results = await asyncio.gather(*attempts, return_exceptions=True)
        assert results.count(None) == 1
        assert sum(isinstance(result, NameTaken) for result in results) == 9
        assert len(await store.list()) == 1

    async def test_update_replaces_all_but_id_and_creation(self, store):
        await store.create(a_function())
        changed = a_function(
            name="renamed",
            version=a_version(2, memory_mb=256, env_vars={"A": "1"}),
            code_path="elsewhere",
            limits=Limits(min_instances=2),
            created_at=NOW + timedelta(days=9),
            updated_at=NOW + timedelta(days=1),
        )
        assert await store.update(changed)
        stored = replace(changed, created_at=a_function().created_at, generation=2)
        assert await store.get("renamed") == stored
        with pytest.raises(FunctionNotFound):
            await store.get("name-1")

    async def test_update_keeps_to_the_expected_generation(self, store):
        await store.create(a_function())
        assert await store.update(a_function(limits=Limits(max_waiting=1)), expected_generation=1)
        assert not await store.update(a_function(limits=Limits(min_instances=1)), expected_generation=1)
        assert (await store.get("fn-1")).limits == Limits(max_waiting=1)
        assert await store.update(a_function(), expected_generation=2)
        assert (await store.get("fn-1")).limits == Limits()

    async def test_every_change_is_a_generation_whatever_it_was_read_as(self, store):
        await store.create(a_function(1))
        await store.create(a_function(2))
        await store.update(a_function(1, generation=9))
        await store.mark_good("fn-1", a_version())
        await store.mark_good("fn-1", a_version())  # which changes nothing
        assert (await store.get("fn-1")).generation == 3
        assert await store.generations() == {"fn-1": 3, "fn-2": 1}

    async def test_identity_is_the_same_whatever_is_in_it(self, store):
        identity = await store.identity()
        assert identity
        await store.create(a_function())
        assert await store.identity() == identity

    async def test_restored_row_can_outgrow_what_was_seen_of_it(self, store):
        await store.create(a_function(1))
        await asyncio.gather(*(store.outgrow("fn-1", 7) for _ in range(3)), store.outgrow("fn-gone", 7))
        assert await store.get("fn-1") == a_function(1, generation=8)

    async def test_one_of_many_updates_of_a_generation_wins(self, store):
        await store.create(a_function())
        attempts = [
            store.update(a_function(version=a_version(2, port=3000 + number)), expected_generation=1)
            for number in range(10)
        ]
        results = await asyncio.gather(*attempts)
        assert results.count(True) == 1
        assert (await store.get("fn-1")).version.port == 3000 + results.index(True)

    async def test_good_version_only_goes_forward(self, store):
        await store.create(a_function())
        seen = []
        for revision in (2, 1, 3):
            await store.mark_good("fn-1", a_version(revision))
            seen.append((await store.get("fn-1")).good.revision)
        assert seen == [2, 2, 3]
        assert await store.get("fn-1") == a_function(good=a_version(3), generation=3)

    async def test_update_from_before_a_version_was_good_does_not_forget_it(self, store):
        await store.create(a_function())
        read = await store.get("fn-1")
        await store.mark_good("fn-1", a_version(1))
        await store.update(replace(read, version=a_version(2)))
        assert (await store.get("fn-1")).good == a_version(1)

    async def test_good_version_of_a_function_that_is_gone_is_nothing(self, store):
        await store.mark_good("fn-1", a_version())
        assert await store.list() == []

    async def test_deleted_function_is_gone_and_its_name_free(self, store):
        await store.create(a_function(1))
        await store.delete("fn-1")
        with pytest.raises(FunctionNotFound):
            await store.get("name-1")
        with pytest.raises(FunctionNotFound):
            await store.delete("fn-1")
        await store.create(a_function(2, name="name-1"))

    async def test_list_is_oldest_first(self, store):
        same = NOW
        for number in (3, 1, 2):
            await store.create(a_function(number))
        await store.create(a_function(9, created_at=same, name="b"))
        await store.create(a_function(8, created_at=same, name="a"))
        assert [function.id for function in await store.list()] == ["fn-8", "fn-9", "fn-1", "fn-2", "fn-3"]

    async def test_pages_have_everything_once_whatever_comes_meanwhile(self, store):
        for number in range(10, 20):
            await store.create(
                a_function(number, created_at=NOW if number < 15 else a_function(number).created_at)
            )
        seen, after = [], None
        while page := await store.list(limit=3, after_id=after):
            assert len(page) <= 3
            seen += [function.id for function in page]
            after = seen[-1]
            earlier = a_function(100 + len(seen), created_at=NOW - timedelta(days=1))
            await store.create(earlier)
            later = a_function(200 + len(seen))
            if len(seen) < 9:
                await store.create(later)
        assert len(seen) == len(set(seen))
        assert seen[:10] == [f"fn-{number}" for number in range(10, 20)]
        assert seen[10:] == ["fn-203", "fn-206"]

    async def test_page_after_a_function_that_is_gone_is_refused(self, store):
        await store.create(a_function(1))
        with pytest.raises(InvalidRequest) as refused:
            await store.list(limit=1, after_id="fn-gone")
        assert refused.value.fields


class TestSqliteFunctionStore(FunctionStoreContract):
    @pytest.fixture
    async def store(self, tmp_path):
        database = await open_database(sqlite_url(tmp_path / "aether.db"))
        yield SqlFunctionStore(database)
        await database.close()


class TestPostgresFunctionStore(FunctionStoreContract):
    @pytest.fixture
    async def store(self, postgres_server):
        async with emptied(postgres_server) as database:
            yield SqlFunctionStore(database)
