"""Pauses between starts that nobody waits for, of a version that keeps failing."""

from __future__ import annotations

from dataclasses import dataclass

from aether.ports.clock import Clock

FIRST_S = 1.0
LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class _Pause:
    revision: int
    length_s: float
    until_s: float


class Backoff:
    """By function id: twice as long after each failure in a row. A new revision starts afresh."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pauses: dict[str, _Pause] = {}

    def failed(self, function_id: str, revision: int) -> None:
        before = self._pauses.get(function_id)
        known = before is not None and before.revision == revision
        length_s = min(before.length_s * 2, LONGEST_S) if before is not None and known else FIRST_S
        self._pauses[function_id] = _Pause(revision, length_s, self._clock.monotonic() + length_s)

    def forget(self, function_id: str) -> None:
        """A start worked, or the function is gone."""
        self._pauses.pop(function_id, None)

    def holds(self, function_id: str, revision: int) -> bool:
        pause = self._pauses.get(function_id)
        return pause is not None and pause.revision == revision and self._clock.monotonic() < pause.until_s
