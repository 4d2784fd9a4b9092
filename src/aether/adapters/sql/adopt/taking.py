"""Functions and their records from one database into another, each once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from aether.adapters.sql.adopt.mending import ID, free_name, mended, runs
from aether.adapters.sql.adopt.source import Source
from aether.adapters.sql.database import Database
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.adapters.sql.rows import invocation_from
from aether.adapters.sql.tables import invocations
from aether.domain.errors import FunctionNotFound, NameTaken
from aether.domain.function import Function
from aether.domain.invocation import Invocation

BATCH = 1000
MOST_MS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of one function of the source. `name` is what it is called now."""

    id: str
    name: str
    outcome: str
    """`taken`, `there already`, or `left out`."""
    was_named: str = ""
    """Its name in the source, where that was another's."""
    runs: str = ""
    changes: list[str] = field(default_factory=list)
    """What else is not as it was, or why it was left out."""


async def adopt(source: Source, into: Database) -> tuple[list[Adopted], int]:
    """What became of each function, and how many records of calls were taken.

    A second time takes only what is new: whoever has a function's id is that function. Ends in the middle
    do no harm for the same reason.
    """
    rows, store = await SqlFunctionStore(source.database).list(), SqlFunctionStore(into)
    there = {function.id: function for function in await store.list()}
    names = {function.name for function in there.values()}
    told = []
    for row in rows:
        was_named = source.names.get(row.id, row.name)
        if row.id in there:
            told.append(Adopted(row.id, there[row.id].name, "there already"))
        elif not ID.fullmatch(row.id):
            told.append(Adopted(row.id, was_named, "left out", changes=["its id can't be part of a key"]))
        else:
            adopted = await _take(row, was_named, store, names)
            names.add(adopted.name)
            told.append(adopted)
    return told, await _take_calls(source.database, into)


async def _take(row: Function, was_named: str, store: SqlFunctionStore, names: set[str]) -> Adopted:
    function, changes = mended(replace(row, name=was_named))
    while True:
        if function.name in names:
            function = replace(function, name=free_name(was_named, names))
        try:
            await store.create(function)
        except (NameTaken, IntegrityError) as taken:
            # By somebody who works with the database meanwhile.
            with suppress(FunctionNotFound):
                there = await store.get(row.id)
                if there.id == row.id:
                    return Adopted(row.id, there.name, "there already")
            if isinstance(taken, IntegrityError):
                raise
            if "domains" in (taken.fields or {}):
                changes.append(f"without its domains: {taken.message}")
                function = replace(function, domains=())
            else:
                names.add(function.name)
            continue
        return Adopted(
            function.id,
            function.name,
            "taken",
            was_named="" if was_named == function.name else was_named,
            runs=runs(function.version, function.code_path),
            changes=changes,
        )


async def _take_calls(source: Database, into: Database) -> int:
    """Those of functions that are there, and that were not taken before."""
    log, taken, after = SqlInvocationLog(into), 0, ""
    while True:
        statement = select(invocations).where(invocations.c.id > after).order_by(invocations.c.id)
        async with source.reading() as connection:
            rows = (await connection.execute(statement.limit(BATCH))).mappings().all()
        if not rows:
            return taken
        after = rows[-1]["id"]
        calls = [_mended(invocation_from(row)) for row in rows]
        before = await _known(into, calls)
        await log.append(calls)
        taken += await _known(into, calls) - before


def _mended(call: Invocation) -> Invocation:
    """SQLite keeps whatever is put into a column; other engines refuse what is no number of theirs."""
    ms: object = call.duration_ms
    return replace(call, duration_ms=min(max(int(ms), 0), MOST_MS) if isinstance(ms, (int, float)) else 0)


async def _known(database: Database, calls: list[Invocation]) -> int:
    ids = [call.id for call in calls]
    async with database.reading() as connection:
        found = await connection.scalars(select(invocations.c.id).where(invocations.c.id.in_(ids)))
        return len(found.all())
