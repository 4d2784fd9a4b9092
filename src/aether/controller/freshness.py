"""Whether what a worker said is recent. No wall clock has a say in it: those jump, and differ."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from aether.domain.worker import Worker

FACTS_TOO_OLD_S = 5.0
"""Heartbeats come once a second."""


class Freshness:
    """A record is as old as the time since its heartbeat was seen to change, on a clock that never goes back.

    One that has not changed before one's eyes may be of any age, and counts as old.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[datetime, float | None]] = {}

    def note(self, workers: Mapping[str, Worker], now_s: float) -> None:
        """To be called at each look."""
        for worker_id in self._seen.keys() - workers.keys():
            del self._seen[worker_id]
        for worker in workers.values():
            known = self._seen.get(worker.id)
            if known is None:
                self._seen[worker.id] = worker.last_heartbeat, None
            elif known[0] != worker.last_heartbeat:
                self._seen[worker.id] = worker.last_heartbeat, now_s

    def fresh(self, worker_id: str, now_s: float) -> bool:
        _, changed_at_s = self._seen.get(worker_id, (None, None))
        return changed_at_s is not None and now_s - changed_at_s < FACTS_TOO_OLD_S
