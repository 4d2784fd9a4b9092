"""Opening a database, and transactions in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from aether.adapters.sql import sqlite
from aether.adapters.sql.errors import translated
from aether.adapters.sql.migrate import is_current, migrate, revision
from aether.domain.errors import StoreUnavailable

CONNECTIONS = 5
"""Of SQLite, each a thread: enough for a slow listing not to hold up the rest."""
WITHIN_S = 10.0
"""A transaction at a server, with all that it waits for; some seconds more until the last has given up."""


_migrating_here: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""Alembic has one migration at a time in a process: it keeps it in its modules."""


def sqlite_url(path: Path) -> str:
    """The URL of a database file."""
    return URL.create("sqlite+aiosqlite", database=str(path)).render_as_string()


async def open_database(url: str) -> Database:
    """Connect, and bring the tables up to date, one process at a time; close it when done.

    `sqlite:///path` is a file, made if there is none; one of the system that Aether grew from is
    taken over with its rows. `postgresql://user:password@host/database` is a server's, with what else
    libpq's URLs may say (`?sslmode=verify-full&sslrootcert=…`), and `pool_size`.
    Raises ValueError for another URL, DatabaseTooNew, DatabaseRefused, StoreUnavailable, DiskFull.
    """
    database = await connected(url)
    async with AsyncExitStack() as on_failure:
        on_failure.push_async_callback(database.close)
        await bring_up_to_date(database)
        on_failure.pop_all()
    return database


async def bring_up_to_date(database: Database) -> tuple[str, str]:
    """The migration that it was at before, '' for none, and the one that it is at. Raises as above."""
    async with database.reading() as connection:
        current, before = await connection.run_sync(is_current), await connection.run_sync(revision)
    if current:
        return before, before
    turn = _migrating_here.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    async with turn, database.migrating() as connection:
        return await connection.run_sync(migrate)


async def connected(url: str) -> Database:
    """The database as it is; connections are made when they are needed. Raises as `open_database`."""
    if url.startswith("postgres"):
        from aether.adapters.sql import postgres  # noqa: PLC0415 - its driver is of no use to SQLite

        address = postgres.Address.parse(url)
        return Database(
            postgres.engine(address),
            migrating=postgres.migrating_engine(address),
            writers=address.pool_size,
            within_s=WITHIN_S,
        )
    parsed = make_url(url)
    file = parsed.database
    if parsed.get_backend_name() != "sqlite":
        raise ValueError("the database's URL must begin with postgresql:// or sqlite:///")
    if not file or file == ":memory:":
        raise ValueError("a SQLite database must be a file: its connections would each have their own")
    await asyncio.to_thread(sqlite.make_private, Path(file))
    await asyncio.to_thread(sqlite.use_wal, Path(file))
    engine = create_async_engine(
        parsed.set(drivername="sqlite+aiosqlite"),
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=10.0,
        connect_args={"factory": sqlite.RollsBack},
    )
    sqlite.configure(engine)
    return Database(engine)


class Database:
    """Transactions over a pool of connections. Errors are told as `errors.translated` does."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        migrating: AsyncEngine | None = None,
        writers: int = 1,
        within_s: float | None = None,
    ) -> None:
        """`migrating`: what the tables are brought up to date over, where it is another.

        `writers`: how many at a time; others wait here in turn, rather than in the engine by polling.
        """
        self.dialect = engine.dialect.name
        """`sqlite` or `postgresql`."""
        self._readers = engine.execution_options(**READING.get(self.dialect, {}))
        self._writers = engine.execution_options(**WRITING.get(self.dialect, {}))
        self._migrators = (migrating or engine).execution_options(**MIGRATING.get(self.dialect, {}))
        self._write_turns = asyncio.Semaphore(writers)
        self._within_s = within_s
        self._open = True

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state of the database and changes nothing."""
        async with self._transaction(self._readers, self._within_s) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed at the end, or rolled back by whatever is raised."""
        async with self._write_turns, self._transaction(self._writers, self._within_s) as connection:
            yield connection

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        """A writing transaction that may take long."""
        async with self._write_turns, self._transaction(self._migrators) as connection:
            yield connection

    async def close(self) -> None:
        self._open = False
        for engine in (self._migrators, self._writers):
            await engine.dispose()

    @asynccontextmanager
    async def _transaction(
        self, engine: AsyncEngine, within_s: float | None = None
    ) -> AsyncIterator[AsyncConnection]:
        if not self._open:
            raise StoreUnavailable("the database is closed")
        with translated():
            async with asyncio.timeout(within_s), engine.begin() as connection:
                yield connection


READING = {"postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}}
WRITING = {"sqlite": {sqlite.WRITES: True}}
MIGRATING = {"sqlite": {sqlite.WRITES: sqlite.PATIENTLY}}
