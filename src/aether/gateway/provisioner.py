"""Sees to it that functions get the instances they need, and says why they can't."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from aether.domain.errors import AetherError, InstanceFailed
from aether.domain.function import FunctionConfig
from aether.domain.instance import Instance
from aether.domain.rollout import Rollout, RolloutStatus
from aether.domain.worker import Worker
from aether.gateway.asks import Asks
from aether.gateway.backoff import Backoff
from aether.gateway.demand import Elsewhere, most_starts, starts_missing
from aether.gateway.newest import NewestVersions
from aether.gateway.others import Others
from aether.gateway.outcomes import Outcomes
from aether.gateway.placing import Placing
from aether.gateway.returning import Returning
from aether.gateway.room import Room
from aether.gateway.routes import RouteTable
from aether.gateway.starts import Starts
from aether.gateway.trouble import Trouble
from aether.ports.clock import Clock
from aether.ports.job_queue import JobQueue

TOLD_WITHIN_S = 2.0
"""Heartbeats, one a second, tell of a start by then if a worker has taken it."""


class Provisioner:
    """`changed` is called with a function's id when something may have come of its starts, `fail` when
    those who wait for one can't have it. `starts.run` has to be running for anything to be asked for.
    """

    def __init__(
        self,
        routes: RouteTable,
        jobs: JobQueue,
        clock: Clock,
        *,
        gateway_id: str,
        changed: Callable[[str], None],
        fail: Callable[[str, AetherError], None],
    ) -> None:
        self._routes = routes
        self._changed = changed
        self.news: Callable[[], None] = lambda: None
        """Called when there is something that other gateways or who scales should know at once."""
        self.room_wanted: Callable[[], None] = lambda: None
        """Called when another gateway has no room for what waits there."""
        self.others = Others(routes, clock, gateway_id, changed=changed, room_wanted=self._want_room)
        placing = Placing(routes, clock)
        self._returning = Returning(routes, clock)
        self.room = Room(routes, placing, self._returning, clock)
        self._backoff = Backoff(clock)
        self._outcomes = Outcomes(
            routes,
            self.room,
            self._backoff,
            clock,
            has_any=self._has_any,
            tried=self._tried,
            fail=fail,
        )
        self.starts = Starts(
            jobs,
            placing,
            clock,
            reply_to=f"gateway:{gateway_id}:replies",
            changed=changed,
            started=self._outcomes.worked,
            failed=self._outcomes.failed,
            refused=self._outcomes.not_sent,
            news=self._tell,
        )
        self.newest = NewestVersions(routes, self.room, self.starts, self.others, clock)
        routes.on_worker = self._heard
        routes.on_worker_gone = self._gone
        routes.on_foreign = self.starts.foreign_arrived
        routes.on_instance = self._arrived

    # What is on its way, and how it goes

    def starting(self, function: FunctionConfig) -> int:
        """Instances of the version that serves now, on their way."""
        return self.starts.count(function.id, self._routes.serving(function).revision)

    def rollout(self, function: FunctionConfig) -> Rollout:
        """How the newest version is doing, crash loops included."""
        rollout = self._routes.rollouts.of(function)
        if rollout.status is RolloutStatus.FAILED and self.others.try_again(function):
            return Rollout(rollout.revision, RolloutStatus.PENDING)
        loop = self._backoff.crash_loop(function.id, rollout.revision)
        if rollout.status is not RolloutStatus.READY or loop is None:
            return rollout
        return Rollout(rollout.revision, RolloutStatus.CRASHING, loop.reason, loop.console_tail or None)

    def phase(self, function_id: str) -> str:
        """What those who wait for an instance of it wait for now, by the contract's words."""
        since_s = self.starts.longest_s(function_id)
        if since_s is None:
            return "place" if function_id in self.room.missing else "queue"
        if self.starts.any_told(function_id):
            return "ready"
        taken = any(worker.starting.get(function_id) for worker in self._routes.workers.values())
        return "boot" if taken or since_s < TOLD_WITHIN_S else "place"

    # Asking for instances

    def refusal(self, function: FunctionConfig) -> InstanceFailed | None:
        """What to answer at once: it keeps failing, nothing of it is there, and none is tried just now."""
        trouble = self._trouble(function)
        if trouble is None or not trouble.pause_s or self._has_any(function):
            return None
        return trouble.answer(function)

    def see_to(self, function: FunctionConfig, waiting: int) -> AetherError | None:
        """Ask for what `waiting` requests need; an error when they wait for nothing."""
        trouble = self._trouble(function)
        was_missing = self.room.missing.pop(function.id, 0)
        if trouble is not None and trouble.pause_s and not self._has_any(function):
            return trouble.answer(function)
        missing = self._missing(function, waiting, carefully=trouble is not None)
        if not missing:
            return None
        if self.room.has(function):
            self._ask(function, missing)
            return None
        self.room.missing[function.id] = missing
        if missing != was_missing:
            self.news()
        if self._has_any(function) or self.room.may_come(function):
            return None
        return self.room.none_for(function)

    def _missing(self, function: FunctionConfig, waiting: int, *, carefully: bool) -> int:
        """Instances to ask for, here and now."""
        ready = self._routes.ready(function)
        starting = self.starting(function) + self._returning.count(function)
        elsewhere = Elsewhere(self.others.waiting(function.id), self._starting_elsewhere(function))
        missing = starts_missing(
            function.limits,
            waiting=waiting,
            ready=ready,
            starting=starting,
            carefully=carefully,
            elsewhere=elsewhere,
        )
        if not missing:
            self.others.enough(function.id)
            return 0
        most = most_starts(function.limits, ready=ready, carefully=carefully)
        return max(0, self.others.allowed(function.id, starting + missing, most=most) - starting)

    def start(self, function: FunctionConfig, count: int) -> bool:
        """Ask for `count` instances of the version that serves now, ahead of any request.

        Of one that keeps failing none, until some time has passed, nor more than may start at once:
        False when none is asked for.
        """
        trouble = self._trouble(function)
        starting = self.starting(function) + self._starting_elsewhere(function)
        count = min(count, function.limits.max_starts_in_flight - starting)
        if trouble is not None:
            count = 0 if trouble.pause_s else min(count, 1 - starting)
        if count <= 0:
            return False
        self._ask(function, count)
        return True

    def forget(self, function_id: str) -> None:
        """The function is there no more."""
        self._backoff.forget(function_id)
        self.others.forget(function_id)
        self.room.forget(function_id)
        self.newest.forget(function_id)

    def _ask(self, function: FunctionConfig, count: int) -> None:
        for _ in range(count):
            self.starts.ask(function, self._routes.serving(function))

    def _has_any(self, function: FunctionConfig) -> bool:
        """One that serves is there, or on its way, whoever asked for it."""
        if self._routes.ready(function) or self.starting(function) or self._returning.count(function):
            return True
        return bool(self._starting_elsewhere(function))

    def _starting_elsewhere(self, function: FunctionConfig) -> int:
        return self.others.starting(function.id, self._routes.serving(function).revision)

    def _trouble(self, function: FunctionConfig) -> Trouble | None:
        return self._backoff.trouble(function.id, self._routes.serving(function).revision)

    # What becomes of it

    def _heard(self, worker: Worker) -> None:
        """A heartbeat: there may be room for those that had none."""
        self._backoff.heard(worker)
        self._returning.heard(worker)
        self._outcomes.heard(worker)
        self.starts.heard(worker)
        self.room.heard()
        counted_on, self._returning.counted_on = self._returning.counted_on, set()
        for function_id in self.newest.promised | self.room.missing.keys() | counted_on:
            self._changed(function_id)

    def _gone(self, worker_id: str) -> None:
        self._backoff.gone(worker_id)
        self._returning.gone(worker_id)
        self._outcomes.gone(worker_id)
        self.starts.gone(worker_id)

    def asks(self, waiting: Mapping[str, int]) -> Asks:
        """Beside what waits, by function id, what is asked for on its behalf or ahead of it."""
        again = (self._routes.find(function_id) for function_id in self._routes.rollouts.again)
        return Asks(
            waiting=waiting,
            starting=self.starts.counts(),
            missing_room=self.missing_room(waiting),
            trying_again={f.id: f.version.revision for f in again if f is not None},
            took_over=self.newest.took_over(),
        )

    def missing_room(self, waited_for: Container[str]) -> dict[str, int]:
        """Instances that there is no room for, by function id, of functions that are waited for."""
        return {
            function_id: count
            for function_id, count in self.room.missing.items()
            if function_id in waited_for or function_id in self.newest.promised
        }

    def _tried(self, function_id: str) -> None:
        self.newest.break_promise(function_id)

    def _tell(self) -> None:
        self.news()

    def _want_room(self) -> None:
        self.room_wanted()

    def _arrived(self, instance: Instance) -> None:
        """An instance is in the registry, whoever asked for it."""
        if instance.revision is not None:
            self.starts.saw(instance)
            self._outcomes.arrived(instance, instance.revision)
