"""A feed that is read ahead by a task of its own."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, Self, TypeVar

import structlog

from aether.adapters.memory.fanout import Subscription
from aether.domain.errors import StoreUnavailable

T = TypeVar("T")

log = structlog.get_logger()

RETRY_S = 0.2
OPEN_WITHIN_S = 2.0
"""Who sends waits so long for listeners of its own process: an answer must not come before they listen."""


class Reading(ABC, Generic[T]):
    """Implements `aether.ports.feed.Feed`. Goes on when Redis was away; a full buffer loses its oldest."""

    def __init__(self, name: str, buffer: int, on_close: Callable[[Reading[T]], None]) -> None:
        self._name = name
        self._items: Subscription[T] = Subscription(buffer, lambda _: on_close(self))
        self._listens = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=name)

    @abstractmethod
    async def read(self) -> None:
        """Listen, say so by `opened`, and `give` what comes. Raises StoreUnavailable when it is cut."""

    def opened(self) -> None:
        self._listens.set()

    def give(self, item: T) -> None:
        self._items.give(item)

    async def until_open(self) -> None:
        """For a moment at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(OPEN_WITHIN_S):
                await self._listens.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        return await anext(self._items)

    async def aclose(self) -> None:
        await self._items.aclose()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        away = False
        while True:
            try:
                await self.read()
                away = False
            except StoreUnavailable as error:
                if not away:
                    log.warning(
                        "Redis away, listening goes on when it is back", to=self._name, reason=error.message
                    )
                away = True
                await asyncio.sleep(RETRY_S)
            except Exception:
                log.exception("listening failed", to=self._name)
                await asyncio.sleep(RETRY_S)
