"""SQL: functions and records of calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aether.adapters.sql.database import Database, open_database, sqlite_url
from aether.cli.data_dir import PRIVATE
from aether.cli.settings import Settings
from aether.cli.stores.failing import StoreAway, StoreRefuses, Target, ready, target
from aether.domain.errors import StoreUnavailable

REFUSALS = ("28", "3D", "42")
"""SQLSTATE of a wrong user or password, a missing database, no right. Source: PostgreSQL, appendix A."""


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


def sql_target(settings: Settings) -> Target:
    return target(settings, "PostgreSQL", "database_url", str(settings.database_url))


async def _open(settings: Settings, url: str) -> Database:
    at = sql_target(settings)
    try:
        return await open_database(url)
    except StoreUnavailable as error:
        reason = error.message.partition(": ")[2] or error.message
        state = _sqlstate(error)
        if state.startswith(REFUSALS):
            raise StoreRefuses(at, reason) from None
        raise StoreAway(at, reason) from None


def _sqlstate(error: BaseException | None) -> str:
    """Of the engine's own error behind ours; empty where there is none."""
    while error is not None:
        for one in (error, getattr(error, "orig", None)):
            if state := getattr(one, "sqlstate", None):
                return str(state)
        error = error.__cause__ or error.__context__
    return ""
