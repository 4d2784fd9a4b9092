"""The function store port over SQL."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, exists, insert, literal, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from aether.adapters.sql.database import Database
from aether.adapters.sql.rows import function_from, function_row, version_json
from aether.adapters.sql.tables import function_domains, functions, identity, invocations
from aether.adapters.sql.times import UtcTime
from aether.domain.errors import FunctionNotFound, InvalidRequest, NameTaken
from aether.domain.function import Function, Version

CALLS_AT_ONCE = 5_000
"""Records of calls that are deleted in one transaction."""


class SqlFunctionStore:
    """Implements `aether.ports.function_store.FunctionStore`. The database stays its opener's to close."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, function: Function) -> None:
        try:
            async with self._database.writing() as connection:
                await connection.execute(insert(functions).values(function_row(function)))
                await _put_domains(connection, function)
        except IntegrityError:
            await self._raise_if_taken(function)
            raise

    async def get(self, id_or_name: str) -> Function:
        async with self._database.reading() as connection:
            # An id before a name: in a database that was taken over, a name may look like an id.
            statement = (
                select(functions)
                .where(or_(functions.c.id == id_or_name, functions.c.name == id_or_name))
                .order_by((functions.c.id == id_or_name).desc())
                .limit(1)
            )
            row = (await connection.execute(statement)).mappings().first()
        if row is None:
            raise _not_found(id_or_name)
        return function_from(row)

    async def list(self, limit: int | None = None, after_id: str | None = None) -> list[Function]:
        place = tuple_(functions.c.created_at, functions.c.id)
        statement = select(functions).order_by(functions.c.created_at, functions.c.id).limit(limit)
        async with self._database.reading() as connection:
            if after_id is not None:
                after = select(functions.c.created_at, functions.c.id).where(functions.c.id == after_id)
                last = (await connection.execute(after)).first()
                if last is None:
                    raise InvalidRequest(
                        "the function that the page before ended with is gone: list from the start",
                        fields={"cursor": "names a function that is gone"},
                    )
                statement = statement.where(
                    place > tuple_(literal(last.created_at, UtcTime), literal(last.id))
                )
            rows = (await connection.execute(statement)).mappings().all()
        return [function_from(row) for row in rows]

    async def identity(self) -> str:
        async with self._database.reading() as connection:
            return str(await connection.scalar(select(identity.c.id)))

    async def generations(self) -> dict[str, int]:
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(functions.c.id, functions.c.generation))).all()
        return {row.id: row.generation for row in rows}

    async def update(self, function: Function, expected_generation: int | None = None) -> bool:
        try:
            async with self._database.writing() as connection:
                stored = await _locked(connection, function.id)
                if stored is None:
                    raise _not_found(function.id)
                if expected_generation not in (None, stored.generation):
                    return False
                row = function_row(function) | {"generation": stored.generation + 1}
                del row["id"], row["created_at"]
                if not _newer(function.good, stored.good):
                    del row["good"]
                await connection.execute(update(functions).where(_is(function.id)).values(row))
                if function.domains != stored.domains:
                    await _put_domains(connection, function)
        except IntegrityError:
            await self._raise_if_taken(function)
            raise
        return True

    async def mark_good(self, function_id: str, version: Version) -> None:
        async with self._database.writing() as connection:
            stored = await _locked(connection, function_id)
            if stored is not None and version != stored.good and _newer(version, stored.good):
                values = {"good": version_json(version), "generation": stored.generation + 1}
                await connection.execute(update(functions).where(_is(function_id)).values(values))

    async def outgrow(self, function_id: str, generation: int) -> None:
        behind = update(functions).where(_is(function_id), functions.c.generation <= generation)
        async with self._database.writing() as connection:
            await connection.execute(behind.values(generation=generation + 1))

    async def delete(self, function_id: str) -> None:
        # Millions of calls take longer than others can wait, or a statement may: most of them go first.
        while await self._delete_calls(function_id) == CALLS_AT_ONCE:
            pass
        async with self._database.writing() as connection:
            await _locked(connection, function_id)  # first, as who changes it does
            await connection.execute(
                delete(function_domains).where(function_domains.c.function_id == function_id)
            )
            await connection.execute(delete(invocations).where(invocations.c.function_id == function_id))
            deleted = await connection.execute(delete(functions).where(_is(function_id)))
        if deleted.rowcount == 0:
            raise _not_found(function_id)

    async def _delete_calls(self, function_id: str) -> int:
        mine = select(invocations.c.id).where(invocations.c.function_id == function_id).limit(CALLS_AT_ONCE)
        async with self._database.writing() as connection:
            deleted = await connection.execute(delete(invocations).where(invocations.c.id.in_(mine)))
        return deleted.rowcount

    async def _raise_if_taken(self, function: Function) -> None:
        """Tell a taken name from other violations: engines word them differently, so look."""
        taken = exists().where(functions.c.name == function.name, functions.c.id != function.id)
        async with self._database.reading() as connection:
            if await connection.scalar(select(taken)):
                raise NameTaken(
                    f"there is a function named {function.name!r} already", fields={"name": "is taken"}
                )
            others = select(function_domains.c.domain).where(
                function_domains.c.domain.in_(function.domains), function_domains.c.function_id != function.id
            )
            taken_domains = (await connection.scalars(others)).all()
        if taken_domains:
            names = ", ".join(sorted(taken_domains))
            raise NameTaken(f"another function has the domain {names}", fields={"domains": f"taken: {names}"})


async def _locked(connection: AsyncConnection, function_id: str) -> Function | None:
    """The function, unchanged by others until the transaction ends."""
    statement = select(functions).where(_is(function_id)).with_for_update()
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else function_from(row)


async def _put_domains(connection: AsyncConnection, function: Function) -> None:
    await connection.execute(delete(function_domains).where(function_domains.c.function_id == function.id))
    if function.domains:
        # In an order: two that want the same would wait for each other.
        rows = [{"domain": domain, "function_id": function.id} for domain in sorted(function.domains)]
        await connection.execute(insert(function_domains), rows)


def _is(function_id: str) -> ColumnElement[bool]:
    return functions.c.id == function_id


def _newer(version: Version | None, noted: Version | None) -> bool:
    return version is not None and (noted is None or version.revision >= noted.revision)


def _not_found(id_or_name: str) -> FunctionNotFound:
    return FunctionNotFound(f"there is no function {id_or_name!r}")
