"""A SQLite database as its owner meets it: opened, shared, taken over, full, locked, too new."""

import asyncio
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aether.adapters.sql import tables
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.errors import DatabaseTooNew
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.domain.errors import DiskFull, StoreUnavailable
from aether.domain.function import Function, Version
from aether.domain.invocation import Invocation, InvocationStatus

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

SEED_FUNCTIONS = """
CREATE TABLE functions (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, runtime TEXT NOT NULL, code_path TEXT DEFAULT '',
    vcpu INTEGER DEFAULT 1, memory_mb INTEGER DEFAULT 128, port INTEGER DEFAULT 3000,
    env_vars TEXT DEFAULT '{}', created_at DATETIME, updated_at DATETIME)
"""
SEED_INVOCATIONS = """
CREATE TABLE invocations (
    id TEXT PRIMARY KEY, function_id TEXT NOT NULL, status TEXT NOT NULL, duration_ms INTEGER,
    started_at DATETIME, error_message TEXT)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "aether.db"


@pytest.fixture
async def database(path):
    database = await open_database(sqlite_url(path))
    yield database
    await database.close()


def a_function(number=1):
    version = Version(1, "node", "handler.js", "", 1, 128, 3000, {"A": "1"})
    return Function(f"fn-{number}", f"name-{number}", version, "", NOW, NOW)


def a_call(number, **changes):
    return Invocation(f"call-{number}", "fn-1", InvocationStatus.SUCCESS, 1, NOW, **changes)


async def functions_in(path):
    database = await open_database(sqlite_url(path))
    try:
        return await SqlFunctionStore(database).list()
    finally:
        await database.close()


async def test_rows_are_there_when_opened_again(path, database):
    await SqlFunctionStore(database).create(a_function())
    await database.close()
    assert await functions_in(path) == [a_function()]


async def test_closed_database_says_so(database):
    await database.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await SqlFunctionStore(database).list()
    await database.close()


async def test_only_the_owner_can_read_the_files(path, database):
    await SqlFunctionStore(database).create(a_function())
    files = list(path.parent.iterdir())
    assert {file.name for file in files} == {"aether.db", "aether.db-wal", "aether.db-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_file_that_others_could_read_is_closed_to_them(path):
    path.touch(0o644)
    await functions_in(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_migrations_make_the_tables_that_the_code_knows(path, database):
    with sqlite3.connect(path) as raw:
        for table in (tables.functions, tables.invocations):
            made = [row[1] for row in raw.execute(f"PRAGMA table_info({table.name})")]
            assert made == table.columns.keys()
    raw.close()


async def test_columns_of_the_contract_can_be_written_by_others(path, database):
    """By a program that knows only the first columns, and writes times in its own way."""
    with sqlite3.connect(path) as raw:
        raw.execute(
            "INSERT INTO functions (id, name, runtime, created_at) VALUES ('fn-9', 'theirs', 'node', ?)",
            ("2025-12-31 23:59:59.123456789+01:00",),
        )
    raw.close()
    found = await SqlFunctionStore(database).get("theirs")
    assert found.version == Version(1, "node", "handler.js", "", 1, 128, 3000, {})
    assert found.created_at == datetime(2025, 12, 31, 22, 59, 59, 123456, tzinfo=UTC)


async def test_database_of_the_system_before_is_taken_over(path):
    with sqlite3.connect(path) as raw:
        raw.execute(SEED_FUNCTIONS)
        raw.execute(SEED_INVOCATIONS)
        rows = [
            ("a", "Hello World", "", 2, '{"K":"v"}', "2025-03-01 10:00:00.123456789+00:00"),
            ("b", "twin", "function-code/b/code.ext4", 1, "", "2025-03-02T10:00:00Z"),
            ("c", "twin", "", 1, None, "2025-03-03 10:00:00.5 +0000 UTC m=+0.01"),
            ("d", "twin-2", "", 1, "{}", "2025-03-04 10:00:00"),
            ("e", "twin", "", 1, "not json", None),
        ]
        for id_, name, code, vcpu, env, at in rows:
            raw.execute(
                "INSERT INTO functions (id, name, runtime, code_path, vcpu, env_vars, created_at)"
                " VALUES (?, ?, 'node', ?, ?, ?, ?)",
                (id_, name, code, vcpu, env, at),
            )
        raw.execute("INSERT INTO invocations VALUES ('i', 'a', 'odd', NULL, '2025-03-05 10:00:00', NULL)")
    raw.close()
    database = await open_database(sqlite_url(path))
    found = await SqlFunctionStore(database).list()
    assert [(function.id, function.name) for function in found] == [
        ("a", "Hello World"),
        ("b", "twin"),
        ("c", "twin-3"),
        ("d", "twin-2"),
        ("e", "twin-4"),
    ]
    assert found[0].version == Version(1, "node", "handler.js", "", 2, 128, 3000, {"K": "v"})
    assert found[0].created_at == datetime(2025, 3, 1, 10, 0, 0, 123456, tzinfo=UTC)
    assert found[1].code_path == "function-code/b/code.ext4"
    assert [function.version.env_vars for function in found[1:]] == [{}] * 4
    assert found[2].created_at == datetime(2025, 3, 3, 10, 0, 0, 500000, tzinfo=UTC)
    calls = await SqlInvocationLog(database).list("a", 10)
    assert [(call.id, call.status, call.duration_ms) for call in calls] == [("i", InvocationStatus.ERROR, 0)]
    await SqlFunctionStore(database).delete("a")
    assert await SqlInvocationLog(database).list("a", 10) == []
    await database.close()


async def test_failed_migration_leaves_the_database_as_it_was(path):
    def schema():
        with sqlite3.connect(path) as raw:
            rows = raw.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
        raw.close()
        return rows

    with sqlite3.connect(path) as raw:
        raw.execute(SEED_FUNCTIONS)
        raw.execute("CREATE TABLE invocations_started (in_the_way)")  # of the last index to be made
    raw.close()
    before = schema()
    with pytest.raises(StoreUnavailable, match="invocations_started"):
        await open_database(sqlite_url(path))
    assert schema() == before


async def test_database_of_a_newer_version_is_refused_and_untouched(path, database):
    await database.close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    content = path.read_bytes()
    with pytest.raises(DatabaseTooNew, match=r"newer version of Aether.*'9999'.*'00\d\d'"):
        await open_database(sqlite_url(path))
    assert path.read_bytes() == content


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_bytes(b"no" * 5000)])
async def test_what_is_no_database_is_a_clear_error(path, make):
    make(path)
    with pytest.raises(StoreUnavailable, match=r"is not a file|not a database"):
        await open_database(sqlite_url(path))


async def test_missing_folder_is_a_clear_error(tmp_path):
    with pytest.raises(StoreUnavailable, match="No such file"):
        await open_database(sqlite_url(tmp_path / "none" / "aether.db"))


async def test_database_in_memory_is_refused():
    with pytest.raises(ValueError, match="must be a file"):
        await open_database("sqlite://")


async def test_many_processes_can_open_a_new_database_at_once(path):
    script = (
        "import asyncio, sys\n"
        "from aether.adapters.sql.database import open_database\n"
        "async def main():\n"
        "    await (await open_database(sys.argv[1])).close()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, sqlite_url(path)]
    processes = [await asyncio.create_subprocess_exec(*command) for _ in range(3)]
    assert [await process.wait() for process in processes] == [0] * 3
    assert await functions_in(path) == []


async def test_new_file_that_another_process_writes_to_just_now_is_waited_for(path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE anything (at_all)")
    other.execute("BEGIN IMMEDIATE")
    opening = asyncio.ensure_future(functions_in(path))
    await asyncio.wait([opening], timeout=0.2)
    assert not opening.done()
    other.execute("COMMIT")
    assert await opening == []
    other.close()


async def test_process_that_dies_in_the_middle_of_a_migration_leaves_it_to_the_next(path):
    script = (
        "import asyncio, sys, time\n"
        "from aether.adapters.sql import database\n"
        "whole = database.migrate\n"
        "def hang(connection):\n"
        "    whole(connection)\n"
        "    print('made', flush=True)\n"
        "    time.sleep(60)\n"
        "database.migrate = hang\n"
        "asyncio.run(database.open_database(sys.argv[1]))\n"
    )
    first = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, sqlite_url(path), stdout=subprocess.PIPE
    )
    assert await first.stdout.readline() == b"made\n"
    second = asyncio.ensure_future(functions_in(path))
    first.send_signal(signal.SIGKILL)
    await first.wait()
    assert await second == []


async def test_what_was_answered_for_survives_a_kill(path):
    script = (
        "import asyncio, sys\n"
        "from datetime import UTC, datetime\n"
        "from aether.adapters.sql.database import open_database\n"
        "from aether.adapters.sql.function_store import SqlFunctionStore\n"
        "from aether.domain.function import Function, Version\n"
        "async def main():\n"
        "    store = SqlFunctionStore(await open_database(sys.argv[1]))\n"
        "    now = datetime.now(UTC)\n"
        "    for number in range(10_000):\n"
        "        version = Version(1, 'node', 'handler.js', '', 1, 128, 3000, {})\n"
        "        await store.create(Function(f'fn-{number}', f'n{number}', version, '', now, now))\n"
        "        print(number, flush=True)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, sqlite_url(path), stdout=subprocess.PIPE
    )
    answered = [await process.stdout.readline() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    answered += (await process.stdout.read()).splitlines()
    await process.wait()
    assert len(await functions_in(path)) >= len([line for line in answered if line.strip()])


async def test_full_database_refuses_writes_and_goes_on_reading(database):
    functions, log = SqlFunctionStore(database), SqlInvocationLog(database)
    await functions.create(a_function())
    async with database.writing() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFull):
        await log.append([a_call(number, error_message="x" * 1000) for number in range(100)])
    assert await log.list("fn-1", 10) == []
    assert await functions.get("fn-1") == a_function()
    async with database.writing() as connection:
        await connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    await log.append([a_call(1)])
    assert await log.list("fn-1", 10) == [a_call(1)]


async def test_writes_wait_for_another_process_and_then_say_so(path, database):
    async with database.writing() as connection:
        await connection.exec_driver_sql("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await SqlFunctionStore(database).create(a_function())
    assert await SqlFunctionStore(database).list() == []  # readers don't wait
    other.execute("COMMIT")
    other.close()
    await SqlFunctionStore(database).create(a_function())


async def test_two_processes_change_functions_without_failing(path, database):
    """Each change reads before it writes, which deferred transactions could not do side by side."""
    other = await open_database(sqlite_url(path))
    stores = [SqlFunctionStore(database), SqlFunctionStore(other)]
    await stores[0].create(a_function())
    versions = [replace(a_function().version, revision=number) for number in range(2, 42)]
    async with asyncio.TaskGroup() as tasks:
        for number, version in enumerate(versions):
            tasks.create_task(stores[number % 2].mark_good("fn-1", version))
    assert (await stores[0].get("fn-1")).good == versions[-1]
    await other.close()


async def test_cancelled_calls_leave_the_database_working(database):
    functions, log = SqlFunctionStore(database), SqlInvocationLog(database)
    await functions.create(a_function())
    for turns in range(30):
        for call in (log.append([a_call(turns)]), functions.list()):
            running = asyncio.ensure_future(call)
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait([running])
    await asyncio.gather(*(log.append([a_call(100 + number)]) for number in range(10)))
    calls = await log.list("fn-1", 99)
    assert {call.id for call in calls} >= {f"call-{100 + number}" for number in range(10)}


async def test_pruning_and_listing_go_by_time_as_stored(database):
    functions, log = SqlFunctionStore(database), SqlInvocationLog(database)
    await functions.create(a_function())
    whole_second = NOW.replace(microsecond=0)
    calls = [
        Invocation(f"call-{number}", "fn-1", InvocationStatus.SUCCESS, 1, whole_second + step)
        for number, step in enumerate([timedelta(0), timedelta(microseconds=1), timedelta(seconds=1)])
    ]
    await log.append(calls)
    assert await log.list("fn-1", 10) == calls[::-1]
    assert await log.prune(whole_second + timedelta(microseconds=1)) == 1
