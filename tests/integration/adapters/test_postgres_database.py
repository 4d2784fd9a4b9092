"""A PostgreSQL database as its owner meets it: shared, restarted, stopped, refusing, too new."""

import asyncio
import os
import shutil
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

import asyncpg
import pytest
from tests.databases import emptied, new_database
from tests.integration.edge.conftest import make_certificate
from tests.postgres import programs

from aether.adapters.sql import tables
from aether.adapters.sql.database import connected, open_database
from aether.adapters.sql.errors import DatabaseRefused, DatabaseTooNew
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.domain.errors import DiskFull, StoreUnavailable
from aether.domain.function import Function, Limits, Version
from aether.domain.invocation import Invocation, InvocationStatus

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
OPEN = """
import asyncio, sys
from aether.adapters.sql.database import open_database
async def main():
    await (await open_database(sys.argv[1])).close()
asyncio.run(main())
"""


def a_function(number=1, **changes):
    version = Version(1, "node", "handler.js", "", 1, 128, 3000, {"A": "1"})
    return replace(Function(f"fn-{number}", f"name-{number}", version, "", NOW, NOW), **changes)


def a_call(number, function_id="fn-1"):
    return Invocation(f"call-{number}", function_id, InvocationStatus.SUCCESS, 1, NOW)


@pytest.fixture
async def database(postgres_server):
    async with emptied(postgres_server) as database:
        yield database


@pytest.fixture
def functions(database):
    return SqlFunctionStore(database)


@asynccontextmanager
async def plain(url):
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


class TestMigrations:
    async def test_migrations_make_the_tables_that_the_code_knows(self, postgres_server):
        url = await new_database(postgres_server)
        await (await open_database(url)).close()
        async with plain(url) as raw:
            for table in tables.metadata.sorted_tables:
                made = await raw.fetch(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = $1"
                    " ORDER BY ordinal_position",
                    table.name,
                )
                assert [row[0] for row in made] == table.columns.keys()

    async def test_many_at_once_migrate_once(self, postgres_server):
        url = await new_database(postgres_server)
        databases = await asyncio.gather(*(open_database(url) for _ in range(10)))
        assert await SqlFunctionStore(databases[0]).list() == []
        await asyncio.gather(*(database.close() for database in databases))

    @pytest.mark.slow
    async def test_ten_processes_at_once_migrate_once(self, postgres_server):
        url = await new_database(postgres_server)
        started = [await asyncio.create_subprocess_exec(sys.executable, "-c", OPEN, url) for _ in range(10)]
        assert [await process.wait() for process in started] == [0] * 10
        database = await open_database(url)
        assert await SqlFunctionStore(database).list() == []
        await database.close()

    async def test_one_that_dies_in_the_middle_leaves_it_to_the_next(self, postgres_server):
        """It is killed when it has made the tables, and waits for an index that is somebody else's."""
        url = await new_database(postgres_server)
        async with plain(url) as raw:
            blocking = raw.transaction()
            await blocking.start()
            await raw.execute("CREATE TABLE invocations_started (in_the_way int)")
            first = await asyncio.create_subprocess_exec(sys.executable, "-c", OPEN, url)
            async with plain(url) as watching:
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                while not await watching.fetchval(waiting):
                    await asyncio.sleep(0.02)
            second = asyncio.ensure_future(open_database(url))
            first.send_signal(signal.SIGKILL)
            await first.wait()
            await blocking.rollback()
            database = await second
        assert await SqlFunctionStore(database).list() == []
        await database.close()

    async def test_database_of_a_newer_version_is_refused(self, postgres_server):
        url = await new_database(postgres_server)
        await (await open_database(url)).close()
        async with plain(url) as raw:
            await raw.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(DatabaseTooNew, match=r"newer version of Aether.*'9999'"):
            await open_database(url)

    async def test_database_of_another_program_is_refused_and_untouched(self, postgres_server):
        url = await new_database(postgres_server)
        async with plain(url) as raw:
            await raw.execute("CREATE TABLE functions (id int)")
        with pytest.raises(DatabaseRefused, match=r"another program already: functions"):
            await open_database(url)
        async with plain(url) as raw:
            names = await raw.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert [name for (name,) in names] == ["functions"]

    async def test_other_writers_changes_are_counted_as_well(self, database, functions, postgres_server):
        await functions.create(a_function())
        async with plain(postgres_server.url) as raw:
            await raw.execute("UPDATE functions SET name = 'theirs' WHERE id = 'fn-1'")
        assert (await functions.get("theirs")).generation == 2
        assert not await functions.update(a_function(), expected_generation=1)


class TestAway:
    async def test_restart_costs_no_call_after_it(self, postgres_server, functions):
        await functions.create(a_function())
        await asyncio.gather(*(functions.get("fn-1") for _ in range(20)))  # so that the pool is full
        postgres_server.kill()
        postgres_server.start()
        found = await asyncio.gather(*(functions.get("fn-1") for _ in range(20)))
        assert found == [a_function()] * 20

    async def test_server_that_is_not_there_is_told_at_once(self, postgres_server, functions):
        await functions.create(a_function())
        postgres_server.kill()
        try:
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match="can't be reached") as told:
                    await functions.get("fn-1")
                assert "host and port" in told.value.hint
        finally:
            postgres_server.start()
        assert await functions.get("fn-1") == a_function()

    async def test_calls_don_t_wait_for_ever_for_a_server_that_is_stopped(
        self, postgres_server, database, functions
    ):
        await functions.create(a_function())
        database._within_s = 0.5
        postgres_server.pause()
        try:
            calls = [functions.get("fn-1"), functions.mark_good("fn-1", a_function().version)]
            async with asyncio.timeout(5):
                results = await asyncio.gather(*calls, return_exceptions=True)
        finally:
            postgres_server.resume()
        assert [str(result) for result in results] == ["the database gave no answer in time"] * 2
        database._within_s = 10
        assert (await functions.get("fn-1")).name == "name-1"

    async def test_closing_does_not_wait_for_a_server_that_is_stopped(self, postgres_server):
        database = await open_database(postgres_server.url)
        await SqlFunctionStore(database).list()
        postgres_server.pause()
        try:
            async with asyncio.timeout(8):
                await database.close()
        finally:
            postgres_server.resume()

    async def test_cut_call_is_told_and_the_next_goes_on(self, postgres_server, database, functions):
        cut = asyncio.ensure_future(_sleep_in(database))
        async with plain(postgres_server.url) as raw:
            while not await raw.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%'"
                " AND pid <> pg_backend_pid()"
            ):
                await asyncio.sleep(0.01)
        with pytest.raises(StoreUnavailable):
            await cut
        assert await functions.list() == []

    async def test_cancelled_calls_leave_the_database_working(self, database, functions):
        await functions.create(a_function())
        log = SqlInvocationLog(database)
        for turns in range(20):
            for call in (log.append([a_call(turns)]), functions.list()):
                running = asyncio.ensure_future(call)
                for _ in range(turns):
                    await asyncio.sleep(0)
                running.cancel()
                await asyncio.wait([running])
        await asyncio.gather(*(log.append([a_call(100 + number)]) for number in range(10)))
        calls = await log.list("fn-1", 99)
        assert {call.id for call in calls} >= {f"call-{100 + number}" for number in range(10)}


async def _sleep_in(database, seconds=30):
    async with database.writing() as connection:
        await connection.exec_driver_sql(f"SELECT pg_sleep({seconds})")


class TestRefused:
    async def test_wrong_password_and_user_are_told(self, postgres_server):
        for url in (
            postgres_server.url.replace(":only-for-tests@", ":wrong@"),
            postgres_server.url.replace("//aether:", "//nobody:"),
        ):
            with pytest.raises(DatabaseRefused, match="password authentication failed") as told:
                await open_database(url)
            assert "user and the password" in told.value.hint
            assert "wrong" not in told.value.message + told.value.hint

    async def test_database_that_is_not_there_is_told(self, postgres_server):
        with pytest.raises(DatabaseRefused, match='"none" does not exist') as told:
            await open_database(postgres_server.url_of("none"))
        assert "createdb" in told.value.hint

    async def test_user_without_rights_is_told(self, postgres_server):
        url = await new_database(postgres_server)
        async with plain(url) as raw:
            await raw.execute("CREATE ROLE poor LOGIN PASSWORD 'poor'")
        with pytest.raises(DatabaseRefused, match="permission denied") as told:
            await open_database(url.replace("aether:only-for-tests@", "poor:poor@"))
        assert "OWNER" in told.value.hint

    async def test_too_many_connections_are_told_as_passing(self, postgres_server):
        url = await new_database(postgres_server)
        async with plain(postgres_server.url) as raw:
            await raw.execute("CREATE ROLE narrow LOGIN PASSWORD 'narrow' CONNECTION LIMIT 0")
        database = await connected(url.replace("aether:only-for-tests@", "narrow:narrow@"))
        with pytest.raises(StoreUnavailable, match="too many connections") as told:
            await SqlFunctionStore(database).list()
        assert not isinstance(told.value, DatabaseRefused)
        assert "pool_size" in told.value.hint
        await database.close()

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("postgresql://h/d?pool_size=none", "pool_size"),
            ("postgresql://h/d?connect_timeout=0", "connect_timeout"),
            ("mysql://h/d", "postgresql://"),
        ],
    )
    async def test_url_that_makes_no_sense_is_told(self, url, message):
        with pytest.raises(ValueError, match=message):
            await open_database(url)

    async def test_setting_that_the_server_does_not_know_is_told(self, postgres_server):
        with pytest.raises(DatabaseRefused, match="unrecognized configuration parameter") as told:
            await open_database(postgres_server.url + "?nonsense=1")
        assert "URL" in told.value.hint

    @pytest.mark.parametrize(
        ("state", "kind", "hint"),
        [
            ("53100", DiskFull, "space"),
            ("25006", DatabaseRefused, "target_session_attrs"),
            ("40P01", StoreUnavailable, "same call again"),
            ("57P03", StoreUnavailable, "by itself"),
        ],
    )
    async def test_what_the_server_says_is_told_with_what_to_do(self, database, state, kind, hint):
        raising = f"DO $$ BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = '{state}'; END $$"
        with pytest.raises(kind) as told:
            async with database.writing() as connection:
                await connection.exec_driver_sql(raising)
        assert hint in told.value.hint


class TestSettings:
    async def test_statement_that_takes_too_long_is_ended_by_the_server(self, postgres_server):
        database = await connected(postgres_server.url + "?statement_timeout=50")
        with pytest.raises(StoreUnavailable, match="statement timeout"):
            await _sleep_in(database)
        await database.close()

    async def test_pool_is_as_large_as_the_url_says(self, postgres_server):
        database = await connected(postgres_server.url + "?pool_size=2&application_name=narrow")
        sleeping = [asyncio.ensure_future(_sleep_in(database, 0.2)) for _ in range(6)]
        async with plain(postgres_server.url) as raw:
            most = 0
            while not all(task.done() for task in sleeping):
                there = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'narrow'"
                most = max(most, await raw.fetchval(there))
        await asyncio.gather(*sleeping)
        assert most == 2
        await database.close()

    async def test_tls_is_as_the_url_says(self, postgres_server, tmp_path):
        chain, key = make_certificate(tmp_path)
        data = postgres_server.directory / "data"
        for file, name in ((chain, "server.crt"), (key, "server.key")):
            shutil.copy(file, data / name)
            owner = data.stat()
            os.chown(data / name, owner.st_uid, owner.st_gid)
            (data / name).chmod(0o600)
        other, _ = make_certificate(tmp_path, "elsewhere")
        named = postgres_server.url.replace("127.0.0.1", "localhost")
        async with plain(postgres_server.url) as raw:
            await raw.execute("ALTER SYSTEM SET ssl = 'on'")
            await raw.execute("SELECT pg_reload_conf()")
        try:
            while True:  # the server's main process is told by a signal
                async with plain(postgres_server.url) as raw:
                    if await raw.fetchval("SHOW ssl") == "on":
                        break
            verified = await connected(f"{named}?sslmode=verify-full&sslrootcert={quote(str(chain))}")
            async with verified.reading() as connection:
                used = await connection.exec_driver_sql(
                    "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                )
                assert used.scalar() is True
            await verified.close()
            wrong = await connected(f"{named}?sslmode=verify-full&sslrootcert={quote(str(other))}")
            with pytest.raises(DatabaseRefused, match="TLS") as told:
                await SqlFunctionStore(wrong).list()
            assert "sslrootcert" in told.value.hint
            await wrong.close()
        finally:
            async with plain(postgres_server.url) as raw:
                await raw.execute("ALTER SYSTEM RESET ssl")
                await raw.execute("SELECT pg_reload_conf()")

    async def test_server_without_tls_is_refused_where_it_is_required(self, postgres_server):
        database = await connected(postgres_server.url + "?sslmode=require")
        with pytest.raises(StoreUnavailable, match="SSL"):
            await SqlFunctionStore(database).list()
        await database.close()


class TestBackup:
    async def test_restored_database_is_the_one_that_was_saved(self, postgres_server, tmp_path):
        """As docs/cluster.md has it, into a database that has rows of its own by now."""
        url, dump = await new_database(postgres_server), tmp_path / "aether.dump"
        database = await open_database(url)
        functions = SqlFunctionStore(database)
        await functions.create(a_function())
        await SqlInvocationLog(database).append([a_call(1)])
        identity = await functions.identity()
        await _run("pg_dump", "--format=custom", f"--file={dump}", url)
        await functions.update(a_function(name="since"))
        await functions.create(a_function(2))
        await _run("pg_restore", "--clean", "--if-exists", f"--dbname={url}", str(dump))
        assert await functions.list() == [a_function()]
        assert await functions.identity() == identity
        assert [call.id for call in await SqlInvocationLog(database).list("fn-1", 9)] == ["call-1"]
        async with plain(url) as raw:
            await raw.execute("UPDATE functions SET name = 'theirs'")
        assert (await functions.get("theirs")).generation == 2
        await database.close()


async def _run(program, *words):
    process = await asyncio.create_subprocess_exec(
        programs() / program, *words, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


class TestManyWriters:
    async def test_calls_of_a_function_that_is_deleted_meanwhile_keep_no_others_out(
        self, postgres_server, database, functions
    ):
        """Another gateway deletes it while this one writes: the rows of the others are written."""
        other = await open_database(postgres_server.url)
        log = SqlInvocationLog(database)
        await functions.create(a_function(0))
        for number in range(1, 6):
            await functions.create(a_function(number))
            batches = [
                [a_call(f"{number}-{batch}-{call}", f"fn-{call % 2 * number}") for call in range(200)]
                for batch in range(4)
            ]
            appends = [log.append(batch) for batch in batches]
            await asyncio.gather(*appends, SqlFunctionStore(other).delete(f"fn-{number}"))
        assert len(await log.list("fn-0", 99_999)) == 5 * 4 * 100
        await other.close()

    async def test_changes_of_many_gateways_at_once_are_all_there(self, postgres_server, database, functions):
        other = SqlFunctionStore(await open_database(postgres_server.url))
        await functions.create(a_function())

        async def add_one(store):
            while True:
                current = await store.get("fn-1")
                limits = Limits(max_waiting=current.limits.max_waiting + 1)
                if await store.update(
                    replace(current, limits=limits), expected_generation=current.generation
                ):
                    return

        await asyncio.gather(*(add_one((functions, other)[number % 2]) for number in range(8)))
        final = await functions.get("fn-1")
        assert (final.limits.max_waiting, final.generation) == (1008, 9)
        await other._database.close()
