"""What the code store asks of a place that keeps objects."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class Bucket(Protocol):
    """Objects by key, `{folder}/{name}`. Raises StoreUnavailable, DiskFull."""

    async def put(self, key: str, file: Path) -> None:
        """Whole or not at all."""
        ...

    async def copy(self, source: str, target: str) -> None:
        """Without the bytes going through here. Raises KeyError."""
        ...

    async def exists(self, key: str) -> bool: ...

    async def fetch(self, key: str, sha256: str, into: Path) -> None:
        """Raises KeyError, and ValueError if the bytes don't match, with `into` untouched."""
        ...

    async def names(self, folder: str) -> list[str]:
        """What is in a folder, unfinished writes that nobody is at included; empty if there is none."""
        ...

    async def delete(self, folder: str, names: Iterable[str]) -> None:
        """Idempotent."""
        ...
