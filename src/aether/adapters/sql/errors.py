"""The engine's errors told as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from aether.domain.errors import AetherError, DiskFull, StoreUnavailable

PG_DISK_FULL = "53100"
"""SQLSTATE disk_full. Source: PostgreSQL, appendix A."""

SQLITE_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
"""The second is how a full disk shows when the index of the write-ahead log has to grow."""


class DatabaseTooNew(AetherError):
    """A newer version of Aether has migrated the database; this one must not write to it."""

    code, status = "database_too_new", 500

    def __init__(self, revision: str, known: str) -> None:
        super().__init__(
            f"the database was written by a newer version of Aether: it is at migration {revision!r},"
            f" this version knows migrations up to {known!r}",
            hint="run the newer version again, or restore a copy from before the upgrade",
        )


@contextmanager
def translated() -> Iterator[None]:
    """Raises DiskFull and StoreUnavailable for the engine's errors.

    Integrity and programming errors pass: the first is for the caller to read, the second a defect.
    """
    try:
        yield
    except (IntegrityError, ProgrammingError):
        raise
    except DBAPIError as error:
        if _is_disk_full(error.orig):
            raise DiskFull("the disk of the database is full", hint="free some space there") from error
        raise StoreUnavailable(f"the database does not answer: {error.orig}") from error
    except PoolTimeout as error:
        raise StoreUnavailable("the database is too busy: no connection became free") from error


def _is_disk_full(error: BaseException | None) -> bool:
    return (
        getattr(error, "sqlite_errorcode", None) in SQLITE_NO_ROOM
        or getattr(error, "sqlstate", None) == PG_DISK_FULL
    )
