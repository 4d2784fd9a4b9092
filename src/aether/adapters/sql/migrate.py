"""Bringing a database to the tables this version knows."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from aether.adapters.sql.errors import DatabaseRefused, DatabaseTooNew
from aether.adapters.sql.tables import metadata

SCRIPTS = "aether.adapters.sql:migrations"


def is_current(connection: Connection) -> bool:
    """Whether nothing is missing. Raises DatabaseTooNew for a migration that is not among ours."""
    scripts = ScriptDirectory.from_config(_config(connection))
    at, head = revision(connection), scripts.get_current_head() or ""
    if at and at not in {script.revision for script in scripts.walk_revisions()}:
        raise DatabaseTooNew(at, head)
    return at == head


def revision(connection: Connection) -> str:
    """The migration that a database is at; '' for none."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def migrate(connection: Connection) -> tuple[str, str]:
    """Run what is missing, inside the connection's transaction: all of it or nothing, one process at a time.

    The migration before and after. Raises DatabaseTooNew, and DatabaseRefused for a server's database that
    holds another program's tables.
    """
    if connection.dialect.name == "postgresql":
        from aether.adapters.sql import postgres  # noqa: PLC0415 - its driver is of no use to SQLite

        postgres.lock(connection)
        if not revision(connection):
            _require_no_tables(connection)
    before = revision(connection)
    if not is_current(connection):
        command.upgrade(_config(connection), "head")
    return before, revision(connection)


def _require_no_tables(connection: Connection) -> None:
    """What is in a SQLite file is taken over; the system before ours had no other."""
    others = metadata.tables.keys() & set(inspect(connection).get_table_names())
    if others:
        raise DatabaseRefused(
            f"the database has tables of another program already: {', '.join(sorted(others))}",
            hint="give Aether a database of its own",
        )


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.attributes["connection"] = connection
    return config
