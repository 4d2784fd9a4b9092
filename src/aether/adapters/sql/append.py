"""How many rows of `invocations` are written at once: by far the most of what a database is asked to do.

A row whose function is gone is not written, nor one that was written by an earlier try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import JSON, Boolean, Integer

from aether.adapters.sql.rows import invocation_values
from aether.adapters.sql.tables import invocations
from aether.adapters.sql.times import UtcTime, to_text
from aether.domain.invocation import Invocation

Statement = tuple[str, Any]
"""And its parameters, as the driver wants both."""

_COLUMNS = invocations.columns.keys()
_SQLITE_ROWS_AT_ONCE = (1024, 256, 32)
"""Rows of one statement; what is left goes row by row. The engine lets other threads run while it works on
a statement, and before and after it waits for the event loop's: with a row each, that is most of its time."""

_POSTGRES_TYPES = {Integer: "int4", Boolean: "bool", UtcTime: "timestamptz"}
"""Text for the rest, JSON too."""


def _to_sqlite(calls: Sequence[Invocation]) -> Iterator[Statement]:
    rows = [invocation_values(call, to_text) for call in calls]
    begin = 0
    for size in _SQLITE_ROWS_AT_ONCE:
        while len(rows) - begin >= size:
            yield _sqlite_insert(size), tuple(chain.from_iterable(rows[begin : begin + size]))
            begin += size
    if begin < len(rows):
        yield _sqlite_insert(1), rows[begin:]


@lru_cache(maxsize=len(_SQLITE_ROWS_AT_ONCE) + 1)
def _sqlite_insert(rows: int) -> str:
    row = f"({', '.join('?' * len(_COLUMNS))})"
    function = f"column{_COLUMNS.index('function_id') + 1}"
    return (
        f"INSERT INTO invocations ({', '.join(_COLUMNS)}) "  # noqa: S608 - of our own words only
        f"SELECT * FROM (VALUES {', '.join([row] * rows)}) "
        f"WHERE EXISTS (SELECT 1 FROM functions WHERE id = {function}) ON CONFLICT DO NOTHING"
    )


def _to_postgres(calls: Sequence[Invocation]) -> Iterator[Statement]:
    """A column of values each, so that it is one statement for any number of rows."""
    rows = [tuple(map(_storable, invocation_values(call, lambda at: at))) for call in calls]
    yield _postgres_insert(), tuple(map(list, zip(*rows, strict=True)))


@lru_cache(maxsize=1)
def _postgres_insert() -> str:
    """The functions are locked against being deleted meanwhile, in an order: their rows would be refused."""
    arrays = ", ".join(
        f"${place}::{_POSTGRES_TYPES.get(type(column.type), 'text')}[]"
        for place, column in enumerate(invocations.columns, 1)
    )
    values = ", ".join(
        f"given.{column.name}{'::json' if isinstance(column.type, JSON) else ''}"
        for column in invocations.columns
    )
    names = ", ".join(_COLUMNS)
    return (
        f"WITH given AS (SELECT * FROM unnest({arrays}) AS given ({names})), "  # noqa: S608 - our own words only
        "there AS (SELECT id FROM functions WHERE id IN (SELECT function_id FROM given) "
        "ORDER BY id FOR KEY SHARE) "
        f"INSERT INTO invocations ({names}) SELECT {values} FROM given "
        "JOIN there ON there.id = given.function_id ON CONFLICT DO NOTHING"
    )


def _storable(value: Any) -> Any:
    """A NUL is no character of PostgreSQL's."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value


APPEND: Mapping[str, Callable[[Sequence[Invocation]], Iterator[Statement]]] = {
    "sqlite": _to_sqlite,
    "postgresql": _to_postgres,
}
"""By dialect. The statements of one call are for one transaction."""
