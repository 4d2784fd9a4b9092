"""Records of calls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from aether.domain.invocation import Invocation


class InvocationLog(Protocol):
    """Written in batches off the request path. Raises StoreUnavailable, DiskFull."""

    async def append(self, invocations: Sequence[Invocation]) -> None:
        """All of them or none. Rows of functions that are gone are dropped, and those written already."""
        ...

    async def list(self, function_id: str, limit: int, before_id: str | None = None) -> list[Invocation]:
        """Newest first by (started_at, id); `before_id` is the last one of the page before."""
        ...

    async def prune(self, older_than: datetime, limit: int = 10_000) -> int:
        """Remove at most `limit` rows that started before; how many were."""
        ...
