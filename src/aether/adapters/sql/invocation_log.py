"""The invocation log port over SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, exists, func, literal, select, tuple_, type_coerce
from sqlalchemy.dialects.sqlite import Insert, insert

from aether.adapters.sql.database import Database
from aether.adapters.sql.rows import invocation_from, invocation_row
from aether.adapters.sql.tables import functions, invocations
from aether.adapters.sql.times import UtcTime, to_text
from aether.domain.invocation import Invocation

_COLUMNS = invocations.columns.keys()


def _append_all() -> Insert:
    """Write a batch that is given as one JSON array of rows, each an array in the order of _COLUMNS.

    One parameter and one step for the engine, which lets other threads run meanwhile: with rows as
    parameters, a batch took the interpreter from the gateway's event loop twice for each of them.
    """
    batch = func.json_each(bindparam("batch")).table_valued("key", "value")
    fields = [
        type_coerce(func.json_extract(batch.c.value, f"$[{number}]"), invocations.c[name].type).label(name)
        for number, name in enumerate(_COLUMNS)
    ]
    rows = select(*fields).subquery()
    known = select(rows).where(exists().where(functions.c.id == rows.c.function_id))
    return insert(invocations).from_select(_COLUMNS, known).on_conflict_do_nothing()


_APPEND = _append_all()
"""A row whose function is gone is not written, nor one that was written by an earlier try."""


def _batch(invocations: Sequence[Invocation]) -> str:
    rows = []
    for invocation in invocations:
        row = invocation_row(invocation)
        row["started_at"] = to_text(invocation.started_at)
        rows.append(list(row.values()))
    return json.dumps(rows)


class SqlInvocationLog:
    """Implements `aether.ports.invocation_log.InvocationLog`. The database stays its opener's to close."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, invocations: Sequence[Invocation]) -> None:
        if not invocations:
            return
        async with self._database.writing() as connection:
            await connection.execute(_APPEND, {"batch": _batch(invocations)})

    async def list(self, function_id: str, limit: int, before_id: str | None = None) -> list[Invocation]:
        place = tuple_(invocations.c.started_at, invocations.c.id)
        mine = invocations.c.function_id == function_id
        statement = (
            select(invocations)
            .where(mine)
            .order_by(invocations.c.started_at.desc(), invocations.c.id.desc())
            .limit(limit)
        )
        async with self._database.reading() as connection:
            if before_id is not None:
                before = select(invocations.c.started_at, invocations.c.id)
                last = (await connection.execute(before.where(mine, invocations.c.id == before_id))).first()
                if last is None:
                    return []  # pruned since, and all that was older with it
                statement = statement.where(
                    place < tuple_(literal(last.started_at, UtcTime), literal(last.id))
                )
            rows = (await connection.execute(statement)).mappings().all()
        return [invocation_from(row) for row in rows]

    async def prune(self, older_than: datetime, limit: int = 10_000) -> int:
        oldest = (
            select(invocations.c.id)
            .where(invocations.c.started_at < older_than)
            .order_by(invocations.c.started_at, invocations.c.id)
            .limit(limit)
        )
        async with self._database.writing() as connection:
            result = await connection.execute(delete(invocations).where(invocations.c.id.in_(oldest)))
        return result.rowcount
