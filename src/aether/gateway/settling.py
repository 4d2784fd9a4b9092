"""Waiting until something is so, looked at whenever something has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Settling:
    """Its owner calls `look` after each change."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def until(self, done: Callable[[], bool]) -> None:
        if not done():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((done, future))
            await future

    def look(self) -> None:
        for done, future in self._waiting:
            if done() and not future.done():
                future.set_result(None)
        self._waiting = [(done, future) for done, future in self._waiting if not future.done()]
