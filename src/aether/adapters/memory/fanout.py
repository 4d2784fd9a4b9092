"""One giver, any number of listeners, each with a bounded buffer of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Subscription(Generic[T]):
    """Implements `aether.ports.feed.Feed` over a buffer; a full one loses its oldest item."""

    def __init__(self, limit: int, on_close: Callable[[Subscription[T]], None]) -> None:
        self._items: deque[T] = deque(maxlen=limit)
        self._wake = asyncio.Event()
        self._on_close = on_close
        self._closed = False

    def give(self, item: T) -> bool:
        """False if the oldest item had to make room."""
        had_room = len(self._items) != self._items.maxlen
        self._items.append(item)
        self._wake.set()
        return had_room

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._closed:
            if self._items:
                return self._items.popleft()
            self._wake.clear()
            await self._wake.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._items.clear()
            self._wake.set()
            self._on_close(self)


class Fanout(Generic[T]):
    """Listeners by topic. Who doesn't read loses the oldest items over `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._topics: dict[str, list[Subscription[T]]] = {}

    def publish(self, topic: str, item: T) -> int:
        """Give `item` to all who listen now; how many items were lost for it."""
        return sum(not listener.give(item) for listener in self._topics.get(topic, ()))

    def subscribe(self, topic: str) -> Subscription[T]:
        subscription: Subscription[T] = Subscription(self._limit, lambda it: self._drop(topic, it))
        self._topics.setdefault(topic, []).append(subscription)
        return subscription

    def _drop(self, topic: str, subscription: Subscription[T]) -> None:
        listeners = self._topics[topic]
        listeners.remove(subscription)
        if not listeners:
            del self._topics[topic]
