"""The requests that wait for one function: who came first goes first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator

from aether.gateway.places import Slot

_FEW = 64
"""Entries of who has gone are not worth a clearing before there are so many."""


class Waiter:
    """One request in a queue; `place` is awaited by whoever brought it."""

    __slots__ = ("arrived_at", "avoid", "number", "place", "queued")

    def __init__(self, arrived_at: float, number: int, avoid: Slot | None) -> None:
        self.arrived_at = arrived_at
        self.number = number
        self.avoid = avoid
        """The instance that failed it before: another is better."""
        self.place: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self.queued = True

    def __lt__(self, other: Waiter) -> bool:
        return (self.arrived_at, self.number) < (other.arrived_at, other.number)


class WaitingQueue:
    """Ordered by the time of arrival at the gateway, so that who comes back has its old place.

    Joining, leaving and being next cost O(log n) at most; who has left stays as an entry until it is
    next, or until those who left are most of the entries.
    """

    __slots__ = ("_entries", "_joined", "_waiting")

    def __init__(self) -> None:
        self._entries: list[Waiter] = []
        self._joined = 0
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def join(self, arrived_at: float, avoid: Slot | None = None) -> Waiter:
        """`arrived_at`: seconds on any clock, the same for all."""
        self._joined += 1
        self._waiting += 1
        waiter = Waiter(arrived_at, self._joined, avoid)
        heapq.heappush(self._entries, waiter)
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Without having been next; idempotent."""
        if waiter.queued:
            waiter.queued = False
            self._waiting -= 1
            if len(self._entries) > 2 * self._waiting + _FEW:
                self._entries = [entry for entry in self._entries if entry.queued]
                heapq.heapify(self._entries)

    def first(self) -> Waiter | None:
        """Who is next, still in the queue; None when nobody waits."""
        while self._entries:
            waiter = self._entries[0]
            if waiter.queued and not waiter.place.done():
                return waiter
            self._pop()  # it has left, or is about to: its wait was cancelled in this turn of the loop
        return None

    def serve(self, slot: Slot) -> None:
        """Give a place to who is next: `first` was not None."""
        self._pop().place.set_result(slot)

    def empty(self) -> Iterator[Waiter]:
        """All of them, in turn, out of the queue."""
        while self.first() is not None:
            yield self._pop()

    def _pop(self) -> Waiter:
        waiter = heapq.heappop(self._entries)
        if waiter.queued:
            waiter.queued = False
            self._waiting -= 1
        return waiter
