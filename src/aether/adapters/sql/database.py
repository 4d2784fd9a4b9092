"""Opening a database, and transactions in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from aether.adapters.sql import sqlite
from aether.adapters.sql.errors import translated
from aether.adapters.sql.migrate import migrate
from aether.domain.errors import StoreUnavailable

CONNECTIONS = 5
"""Each is a thread with SQLite: enough for a slow listing not to hold up the rest."""


def sqlite_url(path: Path) -> str:
    """The URL of a database file."""
    return URL.create("sqlite+aiosqlite", database=str(path)).render_as_string()


async def open_database(url: str) -> Database:
    """Connect, and bring the tables up to date, one process at a time; close it when done.

    `sqlite:///path` is a file, made if there is none; one of the system that Aether grew from is
    taken over with its rows. Raises DatabaseTooNew, StoreUnavailable, DiskFull.
    """
    parsed = make_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    if is_sqlite:
        file = parsed.database
        if not file or file == ":memory:":
            raise ValueError("a SQLite database must be a file: its connections would each have their own")
        await asyncio.to_thread(sqlite.make_private, Path(file))
        parsed = parsed.set(drivername="sqlite+aiosqlite")
    engine = create_async_engine(parsed, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=10.0)
    if is_sqlite:
        sqlite.configure(engine)
    database = Database(engine, one_writer=is_sqlite)
    async with AsyncExitStack() as on_failure:
        on_failure.push_async_callback(database.close)
        async with database.writing() as connection:
            await connection.run_sync(migrate)
        on_failure.pop_all()
    return database


class Database:
    """Transactions over a pool of connections. Errors are told as `errors.translated` does."""

    def __init__(self, engine: AsyncEngine, *, one_writer: bool) -> None:
        """`one_writer`: writers wait here in turn, rather than in the engine by polling."""
        self._engine = engine
        self._writing_engine = engine.execution_options(**{sqlite.WRITES: True})
        self._write_turns = asyncio.Semaphore(1 if one_writer else CONNECTIONS)
        self._open = True

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state of the database and changes nothing."""
        async with self._transaction(self._engine) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed at the end, or rolled back by whatever is raised."""
        async with self._write_turns, self._transaction(self._writing_engine) as connection:
            yield connection

    async def close(self) -> None:
        self._open = False
        await self._engine.dispose()

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        if not self._open:
            raise StoreUnavailable("the database is closed")
        with translated():
            async with engine.begin() as connection:
                yield connection
