"""PostgreSQL databases for tests: empty ones, and one with the tables, emptied."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import asyncpg
from tests.postgres import PostgresServer

from aether.adapters.sql.database import Database, open_database

_numbers = count(1)


async def new_database(server: PostgresServer) -> str:
    """The URL of one that has nothing in it."""
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return server.url_of(name)


@asynccontextmanager
async def emptied(server: PostgresServer) -> AsyncIterator[Database]:
    """A database with its tables and no row: the same one each time, since making one takes its time."""
    database = await open_database(server.url)
    try:
        async with database.writing() as connection:
            await connection.exec_driver_sql("TRUNCATE functions CASCADE")
        yield database
    finally:
        await database.close()
