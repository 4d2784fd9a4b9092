"""SQL: functions and records of calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from aether.adapters.sql.database import Database, open_database, sqlite_url
from aether.adapters.sql.errors import DatabaseRefused
from aether.cli.data_dir import PRIVATE
from aether.cli.masking import without_password
from aether.cli.settings import Settings
from aether.cli.stores.failing import StoreAway, StoreRefuses, Target, ready, target
from aether.domain.errors import StoreUnavailable


@asynccontextmanager
async def open_sql(settings: Settings, *, wait: bool) -> AsyncIterator[Database]:
    """Connected, with its tables up to date. Raises StoreFailed; of SQLite, what `open_database` does."""
    url = settings.database_url.get_secret_value()
    if url:
        database = await ready(lambda: _open(settings, url), wait=wait)
    else:
        settings.database.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        database = await open_database(sqlite_url(settings.database))
    try:
        yield database
    finally:
        await database.close()


async def look(database: Database) -> None:
    """Raises StoreUnavailable."""
    async with database.reading() as connection:
        await connection.execute(text("SELECT 1"))


def sql_target(settings: Settings) -> Target:
    if settings.database_url.get_secret_value():
        return target(settings, "PostgreSQL", "database_url", str(settings.database_url))
    return target(settings, "SQLite", "db_path", str(settings.database))


async def _open(settings: Settings, url: str) -> Database:
    at = sql_target(settings)
    try:
        return await open_database(url)
    except DatabaseRefused as refused:
        raise StoreRefuses(at, refused.message, at.setting, hint=refused.hint) from None
    except StoreUnavailable as away:
        raise StoreAway(at, away.message) from None
    except ValueError as error:
        # What is in the URL may be told: not its password.
        raise StoreRefuses(at, without_password(str(error)), at.setting) from None
