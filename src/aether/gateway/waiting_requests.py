"""All requests that wait at a gateway: a bounded queue for each function."""

from __future__ import annotations

from collections.abc import Collection
from copy import copy

from aether.domain.errors import AetherError, OverLimit, QueueFull
from aether.domain.function import FunctionConfig
from aether.gateway.demand import may_wait
from aether.gateway.places import Slot
from aether.gateway.routes import RouteTable
from aether.gateway.waiting_queue import Waiter, WaitingQueue


class WaitingRequests:
    """By function id; a function that nobody waits for has no entry."""

    def __init__(self, routes: RouteTable, max_waiting: int) -> None:
        self._routes = routes
        self._max_waiting = max_waiting
        self._waiting = 0
        self._queues: dict[str, WaitingQueue] = {}
        self.functions: Collection[str] = self._queues.keys()
        """Those that somebody waits for, at any time."""

    def count(self, function_id: str) -> int:
        return len(self._queues.get(function_id, ()))

    def counts(self) -> dict[str, int]:
        return {function_id: len(queue) for function_id, queue in self._queues.items()}

    def check(self, function: FunctionConfig) -> None:
        """Raises OverLimit, QueueFull when one more may not wait.

        One function may have as many waiting as places are left to all: a flood leaves room to others.
        """
        waiting = self.count(function.id)
        if waiting >= may_wait(function.limits, ready=self._routes.ready(function)):
            raise OverLimit(
                f"{waiting} requests already wait for {function.name}",
                hint="raise max_waiting or max_instances of the function, or call it less",
            )
        if waiting >= self._max_waiting - self._waiting:
            raise QueueFull(f"{self._waiting} requests already wait at this gateway", hint="try again later")

    def join(self, function_id: str, arrived_at: float, avoid: Slot | None) -> Waiter:
        """As `WaitingQueue.join`; who joins has to leave, whatever becomes of it."""
        self._waiting += 1
        queue = self._queues.get(function_id)
        if queue is None:
            queue = self._queues[function_id] = WaitingQueue()
        return queue.join(arrived_at, avoid)

    def leave(self, function_id: str, waiter: Waiter) -> None:
        self._waiting -= 1
        queue = self._queues.get(function_id)
        if queue is not None and waiter.queued:
            queue.leave(waiter)
            self._drop_empty(function_id, queue)

    def hand_over(self, function: FunctionConfig) -> int:
        """Give what places there are to those who wait longest; how many wait still."""
        queue = self._queues.get(function.id)
        if queue is None:
            return 0
        while (waiter := queue.first()) is not None:
            slot = self._routes.pick(function, waiter.avoid)
            if slot is None:
                return len(queue)
            queue.serve(slot)
        self._drop_empty(function.id, queue)
        return 0

    def fail(self, function_id: str, error: AetherError) -> None:
        """None of those who wait now gets a place."""
        queue = self._queues.get(function_id)
        if queue is not None:
            for waiter in queue.empty():
                waiter.place.set_exception(copy(error))
            self._drop_empty(function_id, queue)

    def _drop_empty(self, function_id: str, queue: WaitingQueue) -> None:
        if not queue:
            del self._queues[function_id]
