"""Sees to it that functions get the instances they need, and says why they can't."""

from __future__ import annotations

import math
from collections.abc import Callable, Container

import structlog

from aether.domain.errors import AetherError, InstanceFailed, NoCapacity
from aether.domain.function import FunctionConfig
from aether.domain.job import JobReply, ProvisionJob
from aether.domain.rollout import Rollout, RolloutStatus
from aether.domain.worker import Worker
from aether.gateway.backoff import Backoff
from aether.gateway.demand import starts_missing
from aether.gateway.newest import NewestVersions
from aether.gateway.placing import Placing
from aether.gateway.room import Room
from aether.gateway.routes import RouteTable
from aether.gateway.starts import Starts
from aether.gateway.trouble import Trouble
from aether.ports.clock import Clock
from aether.ports.job_queue import JobQueue

log = structlog.get_logger()

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
        reply_to: str,
        changed: Callable[[str], None],
        fail: Callable[[str, AetherError], None],
    ) -> None:
        self._routes = routes
        self._changed = changed
        self._fail = fail
        placing = Placing(routes, clock)
        self.room = Room(routes, placing, clock)
        self._backoff = Backoff(clock)
        self.starts = Starts(
            jobs,
            placing,
            clock,
            reply_to=reply_to,
            changed=changed,
            started=self._start_worked,
            failed=self._start_failed,
            refused=self._start_not_sent,
        )
        self.newest = NewestVersions(routes, self.room, self.starts, clock)
        routes.on_worker = self._heard
        routes.on_worker_gone = self._gone
        routes.on_foreign = self.starts.foreign_arrived

    # What is on its way, and how it goes

    def starting(self, function: FunctionConfig) -> int:
        """Instances of the version that serves now, on their way."""
        return self.starts.count(function.id, self._routes.serving(function).revision)

    def rollout(self, function: FunctionConfig) -> Rollout:
        """How the newest version is doing, crash loops included."""
        rollout = self._routes.rollouts.of(function)
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
        ready, starting = self._routes.ready(function), self.starting(function)
        self.room.missing.pop(function.id, None)
        if trouble is not None and trouble.pause_s and not ready and not starting:
            return trouble.answer(function)
        missing = starts_missing(
            function.limits,
            waiting=waiting,
            ready=ready,
            starting=starting,
            carefully=trouble is not None,
        )
        if not missing:
            return None
        if self.room.has(function):
            self._ask(function, missing)
            return None
        self.room.missing[function.id] = missing
        if ready or starting or self.room.can_be_made(function):
            return None
        return self.room.none_for(function)

    def start(self, function: FunctionConfig, count: int) -> bool:
        """Ask for `count` instances of the version that serves now, ahead of any request.

        Of one that keeps failing none, until some time has passed, nor more than may start at once:
        False when none is asked for.
        """
        trouble = self._trouble(function)
        starting = self.starting(function)
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
        self.room.forget(function_id)
        self.newest.forget(function_id)

    def _ask(self, function: FunctionConfig, count: int) -> None:
        for _ in range(count):
            self.starts.ask(function, self._routes.serving(function))

    def _has_any(self, function: FunctionConfig) -> bool:
        return bool(self._routes.ready(function) or self.starting(function))

    def _trouble(self, function: FunctionConfig) -> Trouble | None:
        return self._backoff.trouble(function.id, self._routes.serving(function).revision)

    # What becomes of it

    def _heard(self, worker: Worker) -> None:
        """A heartbeat: there may be room for those that had none."""
        self._backoff.heard(worker)
        self.starts.heard(worker)
        self.room.heard()
        for function_id in self.newest.promised | self.room.missing.keys():
            self._changed(function_id)

    def _gone(self, worker_id: str) -> None:
        self._backoff.gone(worker_id)
        self.starts.gone(worker_id)

    def missing_room(self, waited_for: Container[str]) -> dict[str, int]:
        """Instances that there is no room for, by function id, of functions that are waited for."""
        return {
            function_id: count
            for function_id, count in self.room.missing.items()
            if function_id in waited_for or function_id in self.newest.promised
        }

    def _start_worked(self, reply: JobReply) -> None:
        self._backoff.worked(reply.function_id)
        self._routes.rollouts.started(reply)

    def _start_failed(self, reply: JobReply) -> None:
        """Those who wait are told, unless something else can serve them: the last good version, say."""
        function = self._routes.find(reply.function_id)
        if function is None:
            return
        log.warning("start failed", function=function.name, revision=reply.revision, reason=reply.error)
        if reply.capacity:
            self._start_refused(function, reply.revision, NoCapacity(reply.error))
            return
        self.newest.break_promise(function.id)
        self._backoff.failed(function.id, reply.revision, reply.error, reply.console_tail)
        self._routes.rollouts.failed(function, reply)
        self._routes.changed(function.id)
        # It may be another that serves now.
        if reply.revision != self._routes.serving(function).revision or self._has_any(function):
            return
        trouble = self._trouble(function)
        error = InstanceFailed(
            f"{function.name} did not start: {reply.error}",
            hint=reply.console_tail or None,
            component="worker",
        )
        error.retry_after_s = math.ceil(trouble.pause_s) if trouble is not None else None
        self._fail(function.id, error)

    def _start_not_sent(self, job: ProvisionJob, error: AetherError) -> None:
        """It could not be placed, or its job not be put into the queue."""
        function = self._routes.find(job.function_id)
        if function is None:
            return
        if isinstance(error, NoCapacity):
            error = self.room.none_for(function)
        self._start_refused(function, job.revision, error)

    def _start_refused(self, function: FunctionConfig, revision: int, error: AetherError) -> None:
        """Nobody took a start."""
        self.room.refused(function.id)
        if revision != self._routes.serving(function).revision or self._has_any(function):
            return
        self.room.missing[function.id] = 1
        if not (isinstance(error, NoCapacity) and self.room.can_be_made(function)):
            self._fail(function.id, error)
