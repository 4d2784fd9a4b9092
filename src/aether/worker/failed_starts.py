"""Starts that failed, for all gateways to know: the reply to a job tells only who asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aether.domain.instance import Instance, InstanceStatus
from aether.domain.job import JobReply
from aether.domain.worker import Failures
from aether.ports.clock import Clock
from aether.worker.crash_loops import FORGOTTEN_AFTER_S, MAX_FUNCTIONS, TAIL_CHARS


@dataclass(slots=True)
class _Row:
    revision: int
    in_a_row: int
    at_s: float
    reason: str
    console_tail: str


class FailedStarts:
    """By function, until one works, here or elsewhere; `news` is called when there is one more to tell of."""

    def __init__(self, clock: Clock, news: Callable[[], None]) -> None:
        self._clock = clock
        self._news = news
        self._rows: dict[str, _Row] = {}

    def note(self, outcome: JobReply, began_s: float) -> None:
        """How a start ended that began then. Those that were under way when one failed are that failure."""
        if outcome.instance_id is not None or outcome.capacity:
            return
        before = self._rows.pop(outcome.function_id, None)
        if before is not None and before.revision > outcome.revision:
            self._rows[outcome.function_id] = before
            return
        row = _Row(
            outcome.revision,
            1,
            self._clock.monotonic(),
            outcome.error[-TAIL_CHARS:],
            outcome.console_tail[-TAIL_CHARS:],
        )
        if before is not None and before.revision == row.revision:
            row.in_a_row = before.in_a_row + 1
            if began_s < before.at_s:
                row.in_a_row, row.at_s = before.in_a_row, before.at_s
            if before.console_tail and not row.console_tail:
                row.reason, row.console_tail = before.reason, before.console_tail
        self._rows[outcome.function_id] = row
        while len(self._rows) > MAX_FUNCTIONS:
            del self._rows[next(iter(self._rows))]
        if row != before:
            self._news()

    def about(self, function_id: str) -> bool:
        """Whether there is any of it."""
        return function_id in self._rows

    def saw(self, instance: Instance) -> None:
        """One of the same version is ready, wherever that is."""
        row = self._rows.get(instance.function_id)
        ready = instance.status is InstanceStatus.READY
        if row is not None and ready and instance.revision is not None and instance.revision >= row.revision:
            del self._rows[instance.function_id]

    def forget(self, function_id: str) -> None:
        self._rows.pop(function_id, None)

    def told(self) -> dict[str, Failures]:
        """For the heartbeat."""
        now_s = self._clock.monotonic()
        for function_id in [f for f, row in self._rows.items() if now_s - row.at_s > FORGOTTEN_AFTER_S]:
            del self._rows[function_id]
        return {
            function_id: Failures(row.revision, row.in_a_row, now_s - row.at_s, row.reason, row.console_tail)
            for function_id, row in self._rows.items()
        }
