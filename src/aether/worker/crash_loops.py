"""Instances that got ready and ended by themselves, counted per function: what crash loops are told by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aether.domain.job import ProvisionJob
from aether.domain.worker import Failures
from aether.ports.clock import Clock

LIVED_LONG_S = 60.0
"""An instance that lived for so long was no crash loop's: counting begins anew."""
ANSWERED_MANY = 10
"""Nor was one that answered so many: a request may have ended it, and the next is not to pay for that."""
MAX_FUNCTIONS = 100
"""That are told of; those that failed last."""
FORGOTTEN_AFTER_S = 900.0
TAIL_CHARS = 1000


@dataclass(slots=True)
class _Row:
    revision: int
    in_a_row: int
    at_s: float
    reason: str
    console_tail: str


class CrashLoops:
    """`publish` tells the registry what this worker knows: before anybody can see an instance gone."""

    def __init__(self, clock: Clock, publish: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._publish = publish
        self._rows: dict[str, _Row] = {}

    async def failed(self, job: ProvisionJob, reason: str, console_tail: str, *, answers: int = 0) -> None:
        """An instance of this job ended by itself, after so many answers."""
        if answers >= ANSWERED_MANY:
            self.fared_well(job)
        before = self._rows.pop(job.function_id, None)
        in_a_row = before.in_a_row if before is not None and before.revision == job.revision else 0
        self._rows[job.function_id] = _Row(
            job.revision, in_a_row + 1, self._clock.monotonic(), reason, console_tail[-TAIL_CHARS:]
        )
        while len(self._rows) > MAX_FUNCTIONS:
            del self._rows[next(iter(self._rows))]
        await self._publish()

    def fared_well(self, job: ProvisionJob) -> None:
        """An instance of this job lived for long, or ended because it was asked to."""
        row = self._rows.get(job.function_id)
        if row is not None and row.revision == job.revision:
            del self._rows[job.function_id]

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
