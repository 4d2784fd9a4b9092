"""Waiting until what was changed has arrived here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aether.domain.function import FunctionConfig


class Settling:
    """`functions` are those known here, by id; their owner calls `look` after each change."""

    def __init__(
        self, functions: Mapping[str, FunctionConfig], rolls: Callable[[FunctionConfig], bool]
    ) -> None:
        self._functions = functions
        self._rolls = rolls
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def settled(self, function_id: str, config: FunctionConfig | None) -> None:
        """Until this configuration (None: that there is none), or a newer one, has arrived here."""

        def done() -> bool:
            known = self._functions.get(function_id)
            if known is None or config is None:
                return known is config
            return known == config or not config.replaces(known)

        await self._until(done)

    async def rolled_out(self, function_id: str) -> None:
        """Until what is the newest version then serves, or has failed, or nothing else could serve."""

        def done() -> bool:
            known = self._functions.get(function_id)
            return known is None or not self._rolls(known)

        await self._until(done)

    def look(self) -> None:
        for done, future in self._waiting:
            if done() and not future.done():
                future.set_result(None)
        self._waiting = [(done, future) for done, future in self._waiting if not future.done()]

    async def _until(self, done: Callable[[], bool]) -> None:
        if not done():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((done, future))
            await future
