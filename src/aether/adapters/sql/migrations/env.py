"""Run by Alembic, which imports this file for each command: migrate over the connection we were given."""

from __future__ import annotations

from alembic import context

from aether.adapters.sql.tables import metadata

connection = context.config.attributes["connection"]
# Alembic takes SQLite's DDL for non-transactional; ours begins its transactions explicitly.
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
