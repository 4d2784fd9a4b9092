"""The invocation log port over SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain

from sqlalchemy import delete, literal, select, tuple_

from aether.adapters.sql.database import Database
from aether.adapters.sql.rows import invocation_from, invocation_values
from aether.adapters.sql.tables import invocations
from aether.adapters.sql.times import UtcTime
from aether.domain.invocation import Invocation

_Row = tuple[str | int | None, ...]
_Parameters = _Row | list[_Row]
_COLUMNS = invocations.columns.keys()
_ROWS_AT_ONCE = (1024, 256, 32)
"""Rows of one statement; what is left goes row by row. The engine lets other threads run while it works on
a statement, and before and after it waits for the event loop's: with a row each, that is most of its time."""


@lru_cache(maxsize=len(_ROWS_AT_ONCE) + 1)
def _append(rows: int) -> str:
    """A row whose function is gone is not written, nor one that was written by an earlier try."""
    row = f"({', '.join('?' * len(_COLUMNS))})"
    function = f"column{_COLUMNS.index('function_id') + 1}"
    return (
        f"INSERT INTO invocations ({', '.join(_COLUMNS)}) "  # noqa: S608 - of our own words only
        f"SELECT * FROM (VALUES {', '.join([row] * rows)}) "
        f"WHERE EXISTS (SELECT 1 FROM functions WHERE id = {function}) ON CONFLICT DO NOTHING"
    )


def _pieces(rows: list[_Row]) -> Iterator[tuple[int, _Parameters]]:
    """How many rows a statement is for, and the parameters of one, or of several that are run in turn."""
    begin = 0
    for size in _ROWS_AT_ONCE:
        while len(rows) - begin >= size:
            yield size, tuple(chain.from_iterable(rows[begin : begin + size]))
            begin += size
    if begin < len(rows):
        yield 1, rows[begin:]


class SqlInvocationLog:
    """Implements `aether.ports.invocation_log.InvocationLog`. The database stays its opener's to close."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, invocations: Sequence[Invocation]) -> None:
        if not invocations:
            return
        async with self._database.writing() as connection:
            for size, parameters in _pieces([invocation_values(each) for each in invocations]):
                await connection.exec_driver_sql(_append(size), parameters)

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
