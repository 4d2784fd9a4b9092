"""Telling everyone that a function changed."""

from __future__ import annotations

from typing import Protocol

from aether.ports.feed import Feed


class Notifications(Protocol):
    """`channel:code_update`: at most once, no history. Who missed one finds out by looking."""

    async def publish(self, function_id: str) -> None: ...

    def subscribe(self) -> Feed[str]:
        """Function ids from the moment of the call on; the caller closes it (`aclosing`)."""
        ...
