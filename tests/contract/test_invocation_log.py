"""What every invocation log does: `aether.ports.invocation_log`."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.databases import emptied

from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.domain.function import Function, Version
from aether.domain.invocation import Invocation, InvocationStatus

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def a_call(number, function_id="fn-1", **changes):
    at = NOW + timedelta(seconds=number)
    call = Invocation(f"call-{number:03}", function_id, InvocationStatus.SUCCESS, 12, at)
    return replace(call, **changes)


def ids(calls):
    return [call.id for call in calls]


class InvocationLogContract:
    """`functions` is a store over the same data, with fn-1 and fn-2 in it."""

    @pytest.fixture
    async def stores(self):
        raise NotImplementedError

    @pytest.fixture
    async def functions(self, stores):
        functions, _ = stores
        for number in (1, 2):
            version = Version(1, "node", "handler.js", "", 1, 128, 3000, {})
            await functions.create(Function(f"fn-{number}", f"name-{number}", version, "", NOW, NOW))
        return functions

    @pytest.fixture
    async def log(self, stores, functions):
        return stores[1]

    async def test_call_comes_back_as_it_was(self, log):
        call = a_call(
            1,
            status=InvocationStatus.TIMEOUT,
            duration_ms=30_000,
            error_message="nothing in time: 'grüß dich'",
            instance_id="inst-1",
            http_status=504,
            method="POST",
            path="/a?b=ä",
            cold=True,
            phases={"queue": 1.5, "fn": 0.0},
        )
        await log.append([call, a_call(0)])
        assert await log.list("fn-1", 10) == [call, a_call(0)]

    async def test_newest_calls_come_first_and_functions_are_apart(self, log):
        await log.append([a_call(1), a_call(3), a_call(2), a_call(9, "fn-2")])
        assert ids(await log.list("fn-1", 10)) == ["call-003", "call-002", "call-001"]
        assert ids(await log.list("fn-1", 2)) == ["call-003", "call-002"]
        assert ids(await log.list("fn-2", 10)) == ["call-009"]
        assert await log.list("fn-none", 10) == []

    async def test_pages_have_every_call_once_whatever_comes_meanwhile(self, log):
        await log.append(
            [a_call(number, started_at=NOW + timedelta(seconds=number // 4)) for number in range(20)]
        )
        seen, before = [], None
        while page := await log.list("fn-1", 3, before_id=before):
            seen += ids(page)
            before = seen[-1]
            await log.append([a_call(100 + len(seen))])
        assert seen == [f"call-{number:03}" for number in reversed(range(20))]

    async def test_calls_of_functions_that_are_gone_are_dropped(self, log, functions):
        await functions.delete("fn-2")
        await log.append([a_call(1, "fn-2"), a_call(2), a_call(3, "fn-never")])
        assert ids(await log.list("fn-1", 10)) == ["call-002"]
        assert await log.list("fn-2", 10) == []

    async def test_calls_go_with_their_function(self, log, functions):
        await log.append([a_call(1), a_call(2, "fn-2")])
        await functions.delete("fn-1")
        assert await log.list("fn-1", 10) == []
        assert ids(await log.list("fn-2", 10)) == ["call-002"]

    async def test_many_calls_go_with_their_function(self, log, functions, monkeypatch):
        monkeypatch.setattr("aether.adapters.sql.function_store.CALLS_AT_ONCE", 10)
        await log.append([a_call(number, f"fn-{number % 2 + 1}") for number in range(50)])
        await functions.delete("fn-1")
        assert await log.list("fn-1", 99) == []
        assert len(await log.list("fn-2", 99)) == 25

    async def test_second_try_of_a_batch_writes_no_call_twice(self, log):
        batch = [a_call(number) for number in range(5)]
        await log.append(batch)
        await log.append([*batch, a_call(5)])
        assert ids(await log.list("fn-1", 99)) == [f"call-{number:03}" for number in reversed(range(6))]

    async def test_call_id_that_a_client_used_twice_is_written_once(self, log):
        await log.append([a_call(1), replace(a_call(1), path="/again"), a_call(2)])
        assert ids(await log.list("fn-1", 99)) == ["call-002", "call-001"]

    async def test_batch_is_written_whole_or_not_at_all(self, log):
        broken = a_call(2, phases={"fn": object()})  # nothing can store this
        with pytest.raises(Exception, match="JSON"):
            await log.append([a_call(1), broken, a_call(3)])
        assert await log.list("fn-1", 10) == []

    async def test_batches_of_any_size_are_written_whole(self, log):
        for size in (1, 3, 4, 31, 33, 255, 257, 300):
            await log.append([a_call(1000 * size + number) for number in range(size)])
        assert len(await log.list("fn-1", 9999)) == 884

    async def test_machines_last_words_need_not_be_text(self, log):
        await log.append([a_call(1, error_message="it said \udcff"), a_call(0)])
        assert [call.error_message for call in await log.list("fn-1", 9)] == ["it said ?", None]

    async def test_no_call_keeps_a_batch_out_by_a_character(self, log):
        """NUL is one that some engines don't have."""
        await log.append([a_call(1, error_message="a\0b", path="/\0"), a_call(0)])
        [call, _] = await log.list("fn-1", 9)
        assert call.error_message in ("a\0b", "a\ufffdb")

    async def test_empty_batch_is_nothing(self, log):
        await log.append([])

    async def test_large_batches_from_many_writers(self, log):
        async def write(writer):
            await log.append([a_call(1000 * writer + number) for number in range(500)])

        async with asyncio.TaskGroup() as tasks:
            for writer in range(1, 5):
                tasks.create_task(write(writer))
        assert len(await log.list("fn-1", 9999)) == 2000

    async def test_prune_removes_the_oldest_first_and_only_older_ones(self, log):
        await log.append([a_call(number, f"fn-{number % 2 + 1}") for number in range(10)])
        limit = NOW + timedelta(seconds=5)
        assert await log.prune(limit, limit=3) == 3
        assert ids(await log.list("fn-1", 10)) == ["call-008", "call-006", "call-004"]
        assert ids(await log.list("fn-2", 10)) == ["call-009", "call-007", "call-005", "call-003"]
        assert await log.prune(limit) == 2
        assert await log.prune(limit) == 0
        assert ids(await log.list("fn-1", 10)) == ["call-008", "call-006"]

    async def test_page_after_a_call_that_was_pruned_is_empty(self, log):
        await log.append([a_call(1), a_call(2)])
        await log.prune(NOW + timedelta(seconds=2))
        assert await log.list("fn-1", 10, before_id="call-001") == []


class TestSqliteInvocationLog(InvocationLogContract):
    @pytest.fixture
    async def stores(self, tmp_path):
        database = await open_database(sqlite_url(tmp_path / "aether.db"))
        yield SqlFunctionStore(database), SqlInvocationLog(database)
        await database.close()


class TestPostgresInvocationLog(InvocationLogContract):
    @pytest.fixture
    async def stores(self, postgres_server):
        async with emptied(postgres_server) as database:
            yield SqlFunctionStore(database), SqlInvocationLog(database)
