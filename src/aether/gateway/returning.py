"""What comes back by itself: instances whose worker restarts, and room with it."""

from __future__ import annotations

from aether.domain.function import FunctionConfig
from aether.domain.worker import Worker
from aether.gateway.routes import RouteTable
from aether.ports.clock import Clock

COMES_BACK_S = 5.0
"""So long no other instance is started in place of one that comes back; then both may be."""


class Returning:
    """A worker that ends and leaves its machines says so; its record stays for as long as its lease."""

    def __init__(self, routes: RouteTable, clock: Clock) -> None:
        self._routes = routes
        self._clock = clock
        self._since_s: dict[str, float] = {}
        """By worker."""
        self.counted_on: set[str] = set()
        """Functions that wait for what comes back: to be looked at again when that takes long."""

    def heard(self, worker: Worker) -> None:
        if worker.restarting:
            self._since_s.setdefault(worker.id, self._clock.monotonic())
        else:
            self._since_s.pop(worker.id, None)

    def gone(self, worker_id: str) -> None:
        self._since_s.pop(worker_id, None)

    def any(self) -> bool:
        """Whether a worker is expected back, with the room that it has."""
        return bool(self._since_s)

    def count(self, function: FunctionConfig) -> int:
        """Instances of the version that serves, which will be back in a moment."""
        if not self._since_s:
            return 0
        now_s, revision = self._clock.monotonic(), self._routes.serving(function).revision
        count = sum(
            instance.restarting
            and instance.revision == revision
            and now_s - self._since_s.get(instance.worker_id, -COMES_BACK_S) < COMES_BACK_S
            for instance in self._routes.instances(function.id)
        )
        if count:
            self.counted_on.add(function.id)
        return count
