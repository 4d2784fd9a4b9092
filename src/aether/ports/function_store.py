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

    async def update(self, function: Function, expected_revision: int | None = None) -> bool:
        """Replace all of it but the id and created_at. Raises FunctionNotFound, NameTaken.

        A `good` that is None, or older than the stored one, leaves that: it was noted since.

        With `expected_revision`, only if the stored version still has that revision; False if not.
        """
        ...

    async def mark_good(self, function_id: str, version: Version) -> None:
        """Note the newest version seen ready; an older revision than the noted one changes nothing.

        Nor does one of a function that is gone.
        """
        ...

    async def delete(self, function_id: str) -> None:
        """With its invocations. Raises FunctionNotFound."""
        ...
