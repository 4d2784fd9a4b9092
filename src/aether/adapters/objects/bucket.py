"""What the code store asks of a place that keeps objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object that was fetched. `tag` is what `Bucket.tag` said of it then; `sha256` in hex."""

    tag: str
    sha256: str


class Bucket(Protocol):
    """Objects by key, `{folder}/{name}`. Raises StoreUnavailable, DiskFull."""

    async def put(self, key: str, file: Path) -> None:
        """Whole or not at all."""
        ...

    async def copy(self, source: str, target: str) -> None:
        """Without the bytes going through here. Raises KeyError."""
        ...

    async def tag(self, key: str) -> str:
        """Differs when the bytes differ, and may when they don't. Raises KeyError."""
        ...

    async def fetch(self, key: str, into: Path, sha256: str | None = None) -> Fetched:
        """Whole, and checked against `sha256`, or, without it, against what the store says of it.

        Raises KeyError, and ValueError if the bytes don't match, with `into` untouched.
        """
        ...

    async def names(self, folder: str) -> list[str]:
        """What is in a folder, unfinished writes that nobody is at included; empty if there is none."""
        ...

    async def delete(self, folder: str, names: Iterable[str]) -> None:
        """Idempotent."""
        ...
