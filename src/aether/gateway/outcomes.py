"""What becomes of starts, and who is told: those who wait here, and what this gateway knows of versions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from aether.domain.errors import AetherError, InstanceFailed, NoCapacity
from aether.domain.function import FunctionConfig
from aether.domain.instance import Instance
from aether.domain.job import JobReply, ProvisionJob
from aether.domain.worker import Failures, Worker
from aether.gateway.backoff import Backoff
from aether.gateway.room import Room
from aether.gateway.routes import RouteTable
from aether.ports.clock import Clock

log = structlog.get_logger()

SAME_S = 0.5
"""What two records tell of failures that are no further apart is the same failure."""


@dataclass(frozen=True, slots=True)
class _Told:
    revision: int
    in_a_row: int
    at_s: float

    def is_news_after(self, before: _Told | None) -> bool:
        if before is None or (self.revision, self.in_a_row) != (before.revision, before.in_a_row):
            return True
        return self.at_s > before.at_s + SAME_S


class Outcomes:
    """Of one's own starts by replies, of others' by what is in workers' records.

    `has_any` tells of an instance that serves or is on its way, `tried` hears of functions whose start has
    failed, `fail` gives those who wait for a function their answer.
    """

    def __init__(
        self,
        routes: RouteTable,
        room: Room,
        backoff: Backoff,
        clock: Clock,
        *,
        has_any: Callable[[FunctionConfig], bool],
        tried: Callable[[str], None],
        fail: Callable[[str, AetherError], None],
    ) -> None:
        self._routes = routes
        self._room = room
        self._backoff = backoff
        self._clock = clock
        self._has_any = has_any
        self._tried = tried
        self._fail = fail
        self._told: dict[str, dict[str, _Told]] = {}
        """Failures that were heard of, by worker and function id."""

    def worked(self, reply: JobReply) -> None:
        self._backoff.worked(reply.function_id, reply.revision)
        self._routes.rollouts.started(reply.function_id, reply.revision, reply.phases)

    def arrived(self, instance: Instance, revision: int) -> None:
        """An instance is there, whoever asked for it."""
        self._backoff.worked(instance.function_id, revision)
        if instance.phases:
            self._routes.rollouts.started(instance.function_id, revision, instance.phases)

    def failed(self, reply: JobReply) -> None:
        """Those who wait are told, unless something else can serve them: the last good version, say."""
        function = self._routes.find(reply.function_id)
        if function is None:
            return
        log.warning("start failed", function=function.name, revision=reply.revision, reason=reply.error)
        if reply.capacity:
            self._refused(function, reply.revision, NoCapacity(reply.error))
            return
        self._tried(function.id)
        self._backoff.failed(function.id, reply.revision, reply.error, reply.console_tail)
        self._routes.rollouts.failed(function, reply.revision, reply.error, reply.console_tail)
        self._routes.changed(function.id)
        # It may be another that serves now.
        if reply.revision == self._routes.serving(function).revision and not self._has_any(function):
            self._fail(function.id, self._answer(function, reply))

    def not_sent(self, job: ProvisionJob, error: AetherError) -> None:
        """A start could not be placed, or its job not be put into the queue."""
        function = self._routes.find(job.function_id)
        if function is None:
            return
        if isinstance(error, NoCapacity):
            error = self._room.none_for(function)
        self._refused(function, job.revision, error)

    def heard(self, worker: Worker) -> None:
        """Starts that failed there, whoever asked for them."""
        if not worker.failed_starts:
            self._told.pop(worker.id, None)
            return
        now_s, before, told = self._clock.monotonic(), self._told.get(worker.id, {}), {}
        for function_id, failures in worker.failed_starts.items():
            function = self._routes.find(function_id)
            if function is None:
                continue
            this = told[function_id] = _Told(failures.revision, failures.in_a_row, now_s - failures.ago_s)
            if this.is_news_after(before.get(function_id)):
                self._failed_there(function, failures)
        self._told[worker.id] = told

    def gone(self, worker_id: str) -> None:
        """The worker is there no more."""
        self._told.pop(worker_id, None)

    def _failed_there(self, function: FunctionConfig, failures: Failures) -> None:
        """Who waits hears of it when the other gateway's record tells that nothing is on its way any more."""
        self._backoff.failed(
            function.id,
            failures.revision,
            failures.reason,
            failures.console_tail,
            ago_s=failures.ago_s,
            in_a_row=failures.in_a_row,
        )
        self._routes.rollouts.failed(function, failures.revision, failures.reason, failures.console_tail)
        self._routes.changed(function.id)

    def _refused(self, function: FunctionConfig, revision: int, error: AetherError) -> None:
        """Nobody took a start."""
        self._room.refused(function.id)
        if revision != self._routes.serving(function).revision or self._has_any(function):
            return
        self._room.missing[function.id] = 1
        if not (isinstance(error, NoCapacity) and self._room.may_come(function)):
            self._fail(function.id, error)

    def _answer(self, function: FunctionConfig, reply: JobReply) -> InstanceFailed:
        trouble = self._backoff.trouble(function.id, reply.revision)
        error = InstanceFailed(
            f"{function.name} did not start: {reply.error}",
            hint=reply.console_tail or None,
            component="worker",
        )
        error.retry_after_s = math.ceil(trouble.pause_s) if trouble is not None else None
        return error
