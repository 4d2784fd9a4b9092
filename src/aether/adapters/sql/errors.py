"""The engine's errors told as ours."""

from __future__ import annotations

import re
import sqlite3
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from aether.domain.errors import AetherError, DiskFull, StoreUnavailable

PG_DISK_FULL = "53100"

PG_HINTS: Mapping[str, str] = {
    "28P01": "look at the user and the password in the database's URL",
    "28000": "look at the user in the database's URL, and at the server's pg_hba.conf",
    "3D000": "make it (createdb), owned by the URL's user, or put right the name at the URL's end",
    "3F000": "make that schema, or put right the search_path in the database's URL",
    "42501": "give the URL's user a database of its own: ALTER DATABASE … OWNER TO …",
    "42704": "the database's URL sets something that this server does not know",
    "25006": "it is a standby: add target_session_attrs=read-write to the database's URL",
}
"""What is not put right by waiting, and what to do about it. Source: PostgreSQL, appendix A."""

PG_PASSING: Mapping[str, str] = {
    "53200": "the server is out of memory",
    "53300": "raise its max_connections, or lower pool_size in the URLs of gateways",
    "57P03": "it starts or recovers; it answers by itself when that is done",
    "40P01": "two changes were in each other's way: the same call again will do",
    "40001": "two changes were in each other's way: the same call again will do",
}

DRIVERS_NAME = re.compile(r"^<class '[^']*'>: ")

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


class DatabaseRefused(StoreUnavailable):
    """The server answers, and will not have us; waiting does not help, the hint says what does."""


@contextmanager
def translated() -> Iterator[None]:
    """Raises DiskFull, DatabaseRefused and StoreUnavailable for the engine's errors.

    Integrity and programming errors pass: the first is for the caller to read, the second a defect.
    """
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable("the database is too busy: no connection became free") from error
    except DBAPIError as error:
        told = _told(error.orig)
        if told is None and isinstance(error, (IntegrityError, ProgrammingError)):
            raise
        raise told or StoreUnavailable(f"the database does not answer: {error.orig}") from error
    except TimeoutError as error:
        raise StoreUnavailable("the database gave no answer in time") from error
    except OSError as error:
        raise _unreachable(error) from error
    except Exception as error:
        # While it connects, the driver's own errors come as they are.
        told = _told(error)
        if told is None and type(error).__module__.partition(".")[0] == "asyncpg":
            told = DatabaseRefused(f"there is no connecting to the database: {error}")
        if told is None:
            raise
        raise told from error


def _told(error: BaseException | None) -> AetherError | None:
    if getattr(error, "sqlite_errorcode", None) in SQLITE_NO_ROOM:
        return _disk_full()
    state = getattr(error, "sqlstate", None)
    if state is None:
        return None
    said = DRIVERS_NAME.sub("", str(error))
    if state == PG_DISK_FULL:
        return _disk_full()
    if state in PG_HINTS:
        return DatabaseRefused(f"the database refuses: {said}", hint=PG_HINTS[state])
    if state in PG_PASSING:
        return StoreUnavailable(f"the database does not do it now: {said}", hint=PG_PASSING[state])
    return None


def _disk_full() -> DiskFull:
    return DiskFull("the disk of the database is full", hint="free some space there")


def _unreachable(error: OSError) -> StoreUnavailable:
    if isinstance(error, ssl.SSLError):
        return DatabaseRefused(
            f"no TLS with the database: {error}", hint="look at sslmode and sslrootcert in the database's URL"
        )
    reason = error.strerror or str(error)
    return StoreUnavailable(
        f"the database can't be reached: {reason}",
        hint="is it running, and are host and port of the database's URL right?",
    )
