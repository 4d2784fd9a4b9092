"""What comes back by itself: instances whose worker restarts or crashed a moment ago, and room with it."""

from __future__ import annotations

from aether.domain.function import FunctionConfig
from aether.domain.instance import InstanceStatus
from aether.domain.worker import Worker
from aether.gateway.places import Slot
from aether.gateway.routes import RouteTable
from aether.ports.clock import Clock

COMES_BACK_S = 10.0
"""As long as its lease no other instance is started in place of one that comes back."""
AFTER_CRASH_S = 3.0
"""The same where a worker crashed: who looks after it starts it again at once, or not at all."""
FORGET_AFTER_S = 60.0


class Returning:
    """A worker that ends and leaves its machines says so; its record stays for as long as its lease.

    Of one that crashed the record stays as well, and nobody listens for its instances, which run on.
    """

    def __init__(self, routes: RouteTable, clock: Clock) -> None:
        self._routes = routes
        self._clock = clock
        self._since_s: dict[str, float] = {}
        """By worker."""
        self._lost_since_s: dict[str, float] = {}
        """By instance."""
        self.counted_on: set[str] = set()
        """Functions that wait for what comes back: to be looked at again when that takes long."""

    def heard(self, worker: Worker) -> None:
        now_s = self._clock.monotonic()
        self._lost_since_s = {
            i: at_s for i, at_s in self._lost_since_s.items() if now_s - at_s < FORGET_AFTER_S
        }
        if worker.restarting:
            self._since_s.setdefault(worker.id, now_s)
        else:
            self._since_s.pop(worker.id, None)

    def gone(self, worker_id: str) -> None:
        self._since_s.pop(worker_id, None)

    def any(self) -> bool:
        """Whether a worker is expected back, with the room that it has."""
        return bool(self._since_s)

    def count(self, function: FunctionConfig) -> int:
        """Instances of the version that serves, which will be back in a moment."""
        now_s, revision = self._clock.monotonic(), self._routes.serving(function).revision
        slots = (s for s in self._routes.slots(function.id) if s.instance.revision == revision)
        count = sum(self._comes_back(slot, now_s) for slot in slots)
        if count:
            self.counted_on.add(function.id)
        return count

    def _comes_back(self, slot: Slot, now_s: float) -> bool:
        instance = slot.instance
        if instance.restarting:
            return now_s - self._since_s.get(instance.worker_id, -COMES_BACK_S) < COMES_BACK_S
        if not slot.lost:
            self._lost_since_s.pop(instance.instance_id, None)
            return False
        if instance.status is not InstanceStatus.READY or instance.worker_id not in self._routes.workers:
            return False
        since_s = self._lost_since_s.setdefault(instance.instance_id, now_s)
        return now_s - since_s < AFTER_CRASH_S
