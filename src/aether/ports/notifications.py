"""Telling everyone that a function changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class Notifications(Protocol):
    """`channel:code_update`: at most once, no history. Who missed one finds out by looking."""

    async def publish(self, function_id: str) -> None: ...

    def subscribe(self) -> AsyncIterator[str]:
        """Function ids from the moment of the call on; the caller closes it (`aclosing`)."""
        ...
