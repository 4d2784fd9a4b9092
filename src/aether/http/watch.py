"""One coarse timer for everything that has a time limit."""

import asyncio
import math
from typing import Protocol

TICK_S = 0.1
NEVER = math.inf


class Watched(Protocol):
    """Something with a time limit, which it may move at any moment without telling anyone."""

    due_at: float

    def due(self, now: float) -> None:
        """`due_at` has passed: act, or set a later one."""
        ...


class Watch:
    """Looks at all it watches ten times a second, while there is anything to watch.

    A timer per request would cost more than the request's own parsing; limits are late by up to TICK_S.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watched: Watched) -> None:
        self._watched.add(watched)
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_S, self._tick)

    def discard(self, watched: Watched) -> None:
        self._watched.discard(watched)

    def close(self) -> None:
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        now = self._loop.time()
        for watched in [each for each in self._watched if each.due_at <= now]:
            watched.due(now)
        self._timer = self._loop.call_later(TICK_S, self._tick) if self._watched else None
