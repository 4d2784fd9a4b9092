"""Bringing a database to the tables this version knows."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from aether.adapters.sql.errors import DatabaseTooNew

SCRIPTS = "aether.adapters.sql:migrations"


def migrate(connection: Connection) -> None:
    """Run what is missing, inside the connection's transaction, which is also the lock.

    Raises DatabaseTooNew for a database at a migration that is not among ours.
    """
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    head = scripts.get_current_head() or ""
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise DatabaseTooNew(revision, head)
    command.upgrade(config, "head")
