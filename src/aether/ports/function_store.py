"""Functions, as their owners describe them: the truth behind the registry's configuration."""

from __future__ import annotations

from typing import Protocol

from aether.domain.function import Function, Version


class FunctionStore(Protocol):
    """Raises StoreUnavailable when the database is away, DiskFull when it has no room."""

    async def create(self, function: Function) -> None:
        """Raises NameTaken."""
        ...

    async def get(self, id_or_name: str) -> Function:
        """By id or by name. Raises FunctionNotFound."""
        ...

    async def list(self, limit: int | None = None, after_id: str | None = None) -> list[Function]:
        """Oldest first, by (created_at, id); `after_id` is the last one of the page before.

        Raises InvalidRequest when that one is gone.
        """
        ...

    async def identity(self) -> str:
        """Which store it is: the same for all who work with it, and for its backup; another for any other."""
        ...

    async def generations(self) -> dict[str, int]:
        """Of every function, by id: what has changed is told by it without reading all."""
        ...

    async def update(self, function: Function, expected_generation: int | None = None) -> bool:
        """Replace all of it but the id and created_at; the next generation of it, whatever `function` says.

        A `good` that is None, or older than the stored one, leaves that: it was noted since.
        Raises FunctionNotFound, NameTaken.

        With `expected_generation`, only if the stored one still is of that; False if not.
        """
        ...

    async def outgrow(self, function_id: str, generation: int) -> None:
        """Have a later generation than that, which was seen of the function, but not in this store.

        So it is with a database that was restored from a backup. Nothing where it is later already, or gone.
        """
        ...

    async def mark_good(self, function_id: str, version: Version) -> None:
        """Note the newest version seen ready; an older revision than the noted one changes nothing.

        Nor does one that is noted already, nor one of a function that is gone.
        """
        ...

    async def delete(self, function_id: str) -> None:
        """With its invocations. Raises FunctionNotFound."""
        ...
