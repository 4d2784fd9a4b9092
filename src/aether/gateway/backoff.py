"""Pauses for what keeps failing: starts that fail, and instances that end by themselves soon after."""

from __future__ import annotations

from dataclasses import dataclass

from aether.domain.worker import Failures, Worker
from aether.gateway.trouble import Trouble
from aether.ports.clock import Clock

FIRST_S = 1.0
LONGEST_S = 60.0
CRASHES = 3
"""So many in a row are a loop. One or two may be the doing of a request: the next gets a fresh instance."""
_LONGEST_EXPONENT = 10


@dataclass(frozen=True, slots=True)
class _Failed:
    revision: int
    in_a_row: int
    at_s: float
    reason: str
    console_tail: str


class Backoff:
    """By function id: twice as long after each failure in a row. A new revision starts afresh."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._starts: dict[str, _Failed] = {}
        self._crashes: dict[str, dict[str, _Failed]] = {}
        """By function and worker id, as the workers' last heartbeats told."""
        self._told: dict[str, frozenset[str]] = {}

    def failed(
        self,
        function_id: str,
        revision: int,
        reason: str,
        console_tail: str = "",
        *,
        ago_s: float = 0.0,
        in_a_row: int = 1,
    ) -> None:
        """A start failed, so long ago, and so many in a row at least.

        Those that were under way with it are the same failure, and so is one that is told twice. Of several
        the last is told, but none without a console in the place of one with it.
        """
        failed_at_s, at_least = self._clock.monotonic() - ago_s, in_a_row
        before = self._starts.get(function_id)
        if before is None or before.revision < revision:
            self._starts[function_id] = _Failed(revision, at_least, failed_at_s, reason, console_tail)
        if before is None or before.revision != revision:
            return
        if before.console_tail and not console_tail:
            reason, console_tail = before.reason, before.console_tail
        in_a_row, at_s = before.in_a_row, before.at_s
        if failed_at_s >= at_s + _pause_s(in_a_row):
            in_a_row, at_s = in_a_row + 1, failed_at_s
        self._starts[function_id] = _Failed(revision, max(in_a_row, at_least), at_s, reason, console_tail)

    def worked(self, function_id: str, revision: int) -> None:
        """A start of it worked, or of a later one; whether the instance lives is its worker's to tell."""
        failed = self._starts.get(function_id)
        if failed is not None and failed.revision <= revision:
            del self._starts[function_id]

    def heard(self, worker: Worker) -> None:
        """A heartbeat, which tells all that the worker knows of crashes."""
        now_s = self._clock.monotonic()
        for function_id in self._told.pop(worker.id, frozenset()) - worker.failures.keys():
            self._forget_crashes(function_id, worker.id)
        for function_id, failures in worker.failures.items():
            self._crashes.setdefault(function_id, {})[worker.id] = _crashed(failures, now_s)
        if worker.failures:
            self._told[worker.id] = frozenset(worker.failures)

    def gone(self, worker_id: str) -> None:
        """The worker is there no more."""
        for function_id in self._told.pop(worker_id, frozenset()):
            self._forget_crashes(function_id, worker_id)

    def forget(self, function_id: str) -> None:
        """The function is there no more."""
        self._starts.pop(function_id, None)
        self._crashes.pop(function_id, None)

    def trouble(self, function_id: str, revision: int) -> Trouble | None:
        """What there is with that revision."""
        loop = self.crash_loop(function_id, revision)
        start = self._starts.get(function_id)
        if start is None or start.revision != revision:
            return loop
        left_s = max(0.0, start.at_s + _pause_s(start.in_a_row) - self._clock.monotonic())
        if loop is not None and loop.pause_s >= left_s:
            return loop
        return Trouble("did not start", start.in_a_row, left_s, start.reason, start.console_tail)

    def crash_loop(self, function_id: str, revision: int) -> Trouble | None:
        """Whether instances of that revision get ready and end, one after the other."""
        crashes = [f for f in self._crashes.get(function_id, {}).values() if f.revision == revision]
        in_a_row = sum(failed.in_a_row for failed in crashes)
        if in_a_row < CRASHES:
            return None
        last = max(crashes, key=lambda failed: failed.at_s)
        until_s = last.at_s + _pause_s(in_a_row - CRASHES + 1)
        left_s = max(0.0, until_s - self._clock.monotonic())
        return Trouble("keeps ending", in_a_row, left_s, last.reason, last.console_tail)

    def _forget_crashes(self, function_id: str, worker_id: str) -> None:
        by_worker = self._crashes.get(function_id, {})
        by_worker.pop(worker_id, None)
        if not by_worker:
            self._crashes.pop(function_id, None)


def _crashed(failures: Failures, now_s: float) -> _Failed:
    at_s = now_s - failures.ago_s
    return _Failed(failures.revision, failures.in_a_row, at_s, failures.reason, failures.console_tail)


def _pause_s(in_a_row: int) -> float:
    return float(min(FIRST_S * 2 ** min(in_a_row - 1, _LONGEST_EXPONENT), LONGEST_S))
