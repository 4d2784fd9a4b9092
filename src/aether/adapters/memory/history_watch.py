"""A watch on the registry in memory: a place in its history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from aether.ports.registry import Change, Wants


class HistoryWatch:
    """Implements `aether.ports.feed.Feed`."""

    def __init__(
        self,
        changes_after: Callable[[int], Change | None],
        revision: int,
        on_close: Callable[[HistoryWatch], None],
        wants: Wants | None = None,
    ) -> None:
        self._changes_after = changes_after
        self._revision = revision
        self._on_close = on_close
        self._wants = wants
        self._changed = asyncio.Event()
        self._closed = False

    def wake(self) -> None:
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._closed:
            change = self._changes_after(self._revision)
            if change is not None:
                self._revision = change.revision
                if self._wants is None or self._wants(change.key):
                    return change
                continue
            self._changed.clear()
            await self._changed.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._closed = True
        self._on_close(self)
        self._changed.set()
