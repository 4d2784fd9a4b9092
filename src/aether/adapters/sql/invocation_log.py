"""The invocation log port over SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, literal, select, tuple_

from aether.adapters.sql.append import APPEND
from aether.adapters.sql.database import Database
from aether.adapters.sql.rows import invocation_from
from aether.adapters.sql.tables import invocations
from aether.adapters.sql.times import UtcTime
from aether.domain.invocation import Invocation


class SqlInvocationLog:
    """Implements `aether.ports.invocation_log.InvocationLog`. The database stays its opener's to close."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, invocations: Sequence[Invocation]) -> None:
        if not invocations:
            return
        append = APPEND[self._database.dialect]
        async with self._database.writing() as connection:
            for statement, parameters in append(invocations):
                await connection.exec_driver_sql(statement, parameters)

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
