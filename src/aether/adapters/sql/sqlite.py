"""What only SQLite needs: a private file, its settings, and transactions that begin when we say so."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from aether.domain.errors import DiskFull, StoreUnavailable

RETRY_S = 0.01
BUSY_TIMEOUT_MS = 10_000
"""How long one process waits for another's write; ours take milliseconds."""

MIGRATION_TIMEOUT_MS = 300_000
"""How long for another's migration, which may rewrite large tables."""

WRITES = "aether_writes"
"""Execution option of connections whose transactions write; PATIENTLY where they wait for a migration."""
PATIENTLY = "patiently"

SETTINGS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",  # readers and the writer don't wait for each other
    "PRAGMA synchronous = FULL",  # what was answered for survives a power cut
    "PRAGMA foreign_keys = ON",
)


class RollsBack(sqlite3.Connection):
    """Closed in the middle of a transaction, as by a cancellation, it gives up its locks.

    Of its own SQLite keeps them for as long as somebody holds a statement of the transaction.
    """

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()


def make_private(path: Path) -> None:
    """Create the file if there is none; only its owner may read it, for it holds env_vars.

    SQLite gives its `-wal` and `-shm` files the same mode. Raises DiskFull, StoreUnavailable.
    """
    try:
        # Opened only if new: closing a descriptor of a database drops this process's locks on it.
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        elif not path.is_file():
            raise StoreUnavailable(f"the database {path} can't be used: it is not a file")
        elif path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except FileExistsError:
        return  # another process was first
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no room for the database {path}") from error
        raise StoreUnavailable(f"the database {path} can't be used: {error.strerror}") from error


def use_wal(path: Path) -> None:
    """Switch the file to the write-ahead log, once for good, by whoever is first.

    SQLite doesn't wait for others there, whatever the timeout: two that switch at once would both fail.
    """
    end_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" in str(error) and time.monotonic() < end_s:
                    time.sleep(RETRY_S)
                    continue
            except sqlite3.DatabaseError:
                pass
            return  # what else is wrong with it is told when it is used


def configure(engine: AsyncEngine) -> None:
    """Set up every connection, and begin transactions ourselves.

    The driver would begin none before DDL, so that a migration could be half done, and only
    deferred ones, in which a write after a read can fail at once with "locked".
    """
    event.listen(engine.sync_engine, "connect", _set_up)
    event.listen(engine.sync_engine, "begin", _begin)


def _set_up(connection: DBAPIConnection, _record: object) -> None:
    adapted: Any = connection
    adapted.isolation_level = None  # the driver's: no transactions of its own
    cursor = connection.cursor()
    for setting in SETTINGS:
        cursor.execute(setting)
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    if writes == PATIENTLY:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {MIGRATION_TIMEOUT_MS}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    if writes == PATIENTLY:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
