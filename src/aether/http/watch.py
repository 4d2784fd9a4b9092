"""One coarse timer for everything that has a time limit."""

import asyncio
import math
from typing import Protocol
from weakref import WeakKeyDictionary

TICK_S = 0.1
NEVER = math.inf


class Watched(Protocol):
    """Something with a time limit, which it may move at any moment without telling anyone."""

    due_at: float

    def due(self, now: float) -> None:
        """`due_at` has passed: act, or set a later one."""
        ...


class Watch:
    """What one relay watches: looked at ten times a second, while there is anything to watch.

    A timer per request would cost more than the request's own parsing; limits are late by up to TICK_S.
    All of one loop are looked at together: a worker has a relay for each instance.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watched: set[Watched] = set()
        self._ticker = _TICKERS.setdefault(loop, _Ticker())

    def add(self, watched: Watched) -> None:
        self._watched.add(watched)
        self._ticker.add(watched)

    def discard(self, watched: Watched) -> None:
        self._watched.discard(watched)
        self._ticker.watched.discard(watched)

    def close(self) -> None:
        self._ticker.watched -= self._watched
        self._watched.clear()


class _Ticker:
    """Of one loop."""

    def __init__(self) -> None:
        self.watched: set[Watched] = set()
        self._ticks = False

    def add(self, watched: Watched) -> None:
        self.watched.add(watched)
        if not self._ticks:
            self._ticks = True
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for watched in [each for each in self.watched if each.due_at <= now]:
            if watched in self.watched:  # not ended by another
                watched.due(now)
        self._ticks = bool(self.watched)
        if self._ticks:
            loop.call_later(TICK_S, self._tick)


_TICKERS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Ticker] = WeakKeyDictionary()
