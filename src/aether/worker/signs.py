"""What the requests of an instance say about it: how many run, and when its function was last heard."""

from __future__ import annotations

import asyncio


class Signs:
    """Facts, as the instance's proxy sees them. Times are seconds of one monotonic clock, the caller's."""

    def __init__(self, now_s: float) -> None:
        self.in_flight = 0
        self.calls = 0
        """Requests that it has been given since its start."""
        self.answers = 0
        """Of them, those that it answered."""
        self.busy = asyncio.Event()
        """Set while a request runs: an idle instance is hardly looked at."""
        self._heard_s = self._busy_since_s = self._idle_since_s = now_s
        self._owed_since_s: float | None = None

    def began(self, now_s: float) -> None:
        if self.in_flight == 0:
            self._busy_since_s = now_s
            self.busy.set()
        self.in_flight += 1
        self.calls += 1
        if self._owed_since_s is None:
            self._owed_since_s = now_s

    def heard(self, now_s: float) -> None:
        """The function gave a sign of life."""
        self._heard_s = now_s
        self._owed_since_s = now_s if self.in_flight else None

    def ended(self, now_s: float, *, answered: bool) -> None:
        self.in_flight -= 1
        self._idle_since_s = now_s
        if self.in_flight == 0:
            self.busy.clear()
        if answered:
            self.answers += 1
            self.heard(now_s)

    def idle_s(self, now_s: float) -> float:
        """Seconds since the last request ended; 0 while one runs."""
        return 0.0 if self.in_flight else now_s - self._idle_since_s

    def silent_s(self, now_s: float) -> float:
        """Seconds that requests run and nothing of the function is heard; 0 where none runs."""
        return now_s - max(self._heard_s, self._busy_since_s) if self.in_flight else 0.0

    def owing_s(self, now_s: float) -> float:
        """Seconds since the first request that nothing was heard after, over some that were given up."""
        return 0.0 if self._owed_since_s is None else now_s - self._owed_since_s
