"""The tables `functions` and `invocations`, made, or taken over from the system Aether grew from."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from aether.adapters.sql.times import from_text, to_text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    tables = sa.inspect(op.get_bind()).get_table_names()
    if "functions" not in tables:
        _create_functions()
    if "invocations" not in tables:
        _create_invocations()
    _add_missing("functions", _functions_added())
    if "functions" in tables:
        _take_over_functions()
    op.create_index("functions_name", "functions", ["name"], unique=True)
    op.create_index("functions_created", "functions", ["created_at", "id"])
    _add_missing("invocations", _invocations_added())
    if "invocations" in tables:
        _take_over_invocations()
    op.create_index("invocations_function", "invocations", ["function_id", "started_at", "id"])
    op.create_index("invocations_started", "invocations", ["started_at", "id"])


def _create_functions() -> None:
    op.create_table(
        "functions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("runtime", sa.Text, nullable=False),
        sa.Column("code_path", sa.Text, server_default=""),
        sa.Column("vcpu", sa.Integer, server_default="1"),
        sa.Column("memory_mb", sa.Integer, server_default="128"),
        sa.Column("port", sa.Integer, server_default="3000"),
        sa.Column("env_vars", _json(), server_default="{}"),
        sa.Column("created_at", sa.DateTime(timezone=True)),
        sa.Column("updated_at", sa.DateTime(timezone=True)),
    )


def _functions_added() -> list[sa.Column[Any]]:
    return [
        # What the system before ran, whatever the runtime was called.
        sa.Column("entrypoint", sa.Text, nullable=False, server_default="handler.js"),
        sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
        sa.Column("code_sha256", sa.Text, nullable=False, server_default=""),
        sa.Column("limits", _json(), nullable=False, server_default="{}"),
        sa.Column("good", _json()),
    ]


def _create_invocations() -> None:
    op.create_table(
        "invocations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column(
            "function_id",
            sa.Text,
            sa.ForeignKey("functions.id", ondelete="CASCADE", name="invocations_of_function"),
            nullable=False,
        ),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("duration_ms", sa.Integer),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("error_message", sa.Text),
    )


def _invocations_added() -> list[sa.Column[Any]]:
    return [
        sa.Column("instance_id", sa.Text),
        sa.Column("http_status", sa.Integer),
        sa.Column("method", sa.Text, nullable=False, server_default=""),
        sa.Column("path", sa.Text, nullable=False, server_default=""),
        sa.Column("cold", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("phases", _json(), nullable=False, server_default="{}"),
    ]


def _add_missing(table: str, columns: list[sa.Column[Any]]) -> None:
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    for column in columns:
        if column.name not in present:
            op.add_column(table, column)


def _take_over_functions() -> None:
    """Times in one form, env_vars that are JSON, and names that are unique: the oldest keeps its own."""
    bind = op.get_bind()
    rows = bind.execute(
        sa.text("SELECT id, name, env_vars, created_at, updated_at FROM functions")
    ).mappings()
    now = to_text(datetime.now(UTC))
    known = [
        {
            "id": row["id"],
            "name": row["name"],
            "env_vars": _env_vars(row["env_vars"]),
            "created_at": _time(row["created_at"], now),
            "updated_at": _time(row["updated_at"], _time(row["created_at"], now)),
        }
        for row in rows
    ]
    names = {row["name"] for row in known}
    seen: set[str] = set()
    for row in sorted(known, key=lambda row: (row["created_at"], row["id"])):
        if row["name"] in seen:
            row["name"] = _free(row["name"], names)
            names.add(row["name"])
        seen.add(row["name"])
        bind.execute(
            sa.text(
                "UPDATE functions SET name = :name, env_vars = :env_vars,"
                " created_at = :created_at, updated_at = :updated_at WHERE id = :id"
            ),
            row,
        )


def _take_over_invocations() -> None:
    """Times in one form. Rows are kept as they are else; deleting a function takes its rows along."""
    bind = op.get_bind()
    rows = bind.execute(sa.text("SELECT id, started_at FROM invocations")).mappings().all()
    now = to_text(datetime.now(UTC))
    for row in rows:
        bind.execute(
            sa.text("UPDATE invocations SET started_at = :at WHERE id = :id"),
            {"at": _time(row["started_at"], now), "id": row["id"]},
        )


def _json() -> sa.types.TypeEngine[Any]:
    """TEXT in SQLite, as the column `env_vars` always was."""
    return sa.JSON().with_variant(sa.Text(), "sqlite")


def _time(stored: str | None, otherwise: str) -> str:
    try:
        return to_text(from_text(stored or ""))
    except ValueError:
        return otherwise


def _env_vars(stored: str | None) -> str:
    try:
        value = json.loads(stored or "{}")
    except ValueError:
        value = {}
    return json.dumps(value if isinstance(value, dict) else {})


def _free(name: str, taken: set[str]) -> str:
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"
