"""A SQLite file to take functions from: a copy of it with our tables, so that the file stays as it is."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import inspect, select

from aether.adapters.sql.database import Database, open_database, sqlite_url
from aether.adapters.sql.tables import functions
from aether.domain.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Source:
    database: Database
    names: dict[str, str]
    """Of functions by id, as the file has them: our tables want them to be unique."""


@asynccontextmanager
async def opened(file: Path) -> AsyncIterator[Source]:
    """Also while another program works with it. Raises InvalidRequest for what is no such database."""
    with tempfile.TemporaryDirectory(prefix="aether-adopt-") as folder:
        copy = Path(folder) / "copy.db"
        names = await asyncio.to_thread(_copy, file, copy)
        database = await open_database(sqlite_url(copy))
        try:
            yield Source(database, names)
        finally:
            await database.close()


async def names_in(database: Database) -> dict[str, str]:
    """Names of functions by id, in whatever migration a database is."""
    async with database.reading() as connection:
        if not await connection.run_sync(lambda sync: inspect(sync).has_table("functions")):
            return {}
        rows = (await connection.execute(select(functions.c.id, functions.c.name))).all()
    return {row.id: row.name for row in rows}


def _copy(file: Path, into: Path) -> dict[str, str]:
    if not file.is_file():
        raise InvalidRequest(f"there is no file {file}")
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(into)) as copy,
        ):
            source.backup(copy)
            return dict(copy.execute("SELECT id, name FROM functions").fetchall())
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise InvalidRequest(f"{file} has no functions: it is another program's database") from error
        raise InvalidRequest(f"{file} can't be read: {error}") from error
    except sqlite3.DatabaseError as error:
        raise InvalidRequest(f"{file} is no SQLite database: {error}") from error
