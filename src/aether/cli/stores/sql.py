"""SQL: functions and records of calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import text

from aether.adapters.sql.adopt import names_in
from aether.adapters.sql.database import Database, bring_up_to_date, connected, open_database, sqlite_url
from aether.adapters.sql.errors import DatabaseRefused
from aether.cli.data_dir import PRIVATE
from aether.cli.masking import without_password
from aether.cli.settings import Settings
from aether.cli.stores.failing import StoreAway, StoreRefuses, Target, ready, target
from aether.domain.errors import StoreUnavailable


@asynccontextmanager
async def open_sql(settings: Settings, *, wait: bool) -> AsyncIterator[Database]:
    """Connected, with its tables up to date. Raises StoreFailed; of SQLite, what `open_database` does."""
    database = await ready(lambda: _open(settings, open_database), wait=wait)
    try:
        yield database
    finally:
        await database.close()


async def migrated(settings: Settings) -> tuple[str, str, dict[str, tuple[str, str]]]:
    """Up to date: the migration before and after, and names of functions that are others now, by id."""
    before = at = ""
    renamed: dict[str, tuple[str, str]] = {}

    async def open_and_look(url: str) -> Database:
        nonlocal before, at, renamed
        database = await connected(url)
        try:
            names = await names_in(database)
            before, at = await bring_up_to_date(database)
            now = await names_in(database)
        except BaseException:
            await database.close()
            raise
        renamed = {i: (name, now[i]) for i, name in names.items() if now.get(i, name) != name}
        return database

    await (await _open(settings, open_and_look)).close()
    return before, at, renamed


async def look(database: Database) -> None:
    """Raises StoreUnavailable."""
    async with database.reading() as connection:
        await connection.execute(text("SELECT 1"))


def sql_target(settings: Settings) -> Target:
    if settings.database_url.get_secret_value():
        return target(settings, "PostgreSQL", "database_url", str(settings.database_url))
    return target(settings, "SQLite", "db_path", str(settings.database))


async def _open(settings: Settings, opening: Callable[[str], Awaitable[Database]]) -> Database:
    url = settings.database_url.get_secret_value()
    if not url:
        settings.database.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        return await opening(sqlite_url(settings.database))
    at = sql_target(settings)
    try:
        return await opening(url)
    except DatabaseRefused as refused:
        raise StoreRefuses(at, refused.message, at.setting, hint=refused.hint) from None
    except StoreUnavailable as away:
        raise StoreAway(at, away.message) from None
    except ValueError as error:
        # What is in the URL may be told: not its password.
        raise StoreRefuses(at, without_password(str(error)), at.setting) from None
