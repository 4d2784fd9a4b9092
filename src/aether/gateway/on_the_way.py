"""What this gateway has placed on workers and their records don't tell of yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aether.domain.job import ProvisionJob
from aether.domain.placement import Coming
from aether.domain.worker import Worker

TOLD_WITHIN_S = 3.0
"""A ready instance that no record has told of for so long was never told of: it has ended since."""


@dataclass(slots=True)
class _Placed:
    worker_id: str
    function_id: str
    size_bytes: int
    since_s: float
    """When that was, or when the worker's record last ceased to count it."""
    told: bool = False
    """The worker's record counts it."""
    instance_id: str = ""
    """Once it is ready."""
    until_s: float = 0.0


class OnTheWay:
    """By request id. Its figures are kept as things change, so that asking costs nothing in a burst."""

    def __init__(self) -> None:
        self._placed: dict[str, _Placed] = {}
        self._by_worker: dict[str, dict[str, _Placed]] = {}
        self._coming: dict[str, Coming] = {}

    @property
    def coming(self) -> Mapping[str, Coming]:
        """By worker id."""
        return self._coming

    def put(self, job: ProvisionJob, worker_id: str, size_bytes: int, now_s: float) -> None:
        request_id = job.request_id
        placed = self._placed[request_id] = _Placed(worker_id, job.function_id, size_bytes, now_s)
        self._by_worker.setdefault(worker_id, {})[request_id] = placed
        self._count(placed, 1)

    def where(self, request_id: str) -> str | None:
        placed = self._placed.get(request_id)
        return placed.worker_id if placed is not None else None

    def ready(self, request_id: str, instance_id: str, now_s: float) -> None:
        """It counts until the worker's record tells of that instance."""
        placed = self._placed.get(request_id)
        if placed is None:
            return
        placed.instance_id, placed.until_s = instance_id, now_s + TOLD_WITHIN_S
        if placed.told:
            self.drop(request_id)

    def drop(self, request_id: str) -> str | None:
        """It is not on its way any more; where to it was."""
        placed = self._placed.pop(request_id, None)
        if placed is None:
            return None
        there = self._by_worker[placed.worker_id]
        del there[request_id]
        if not there:
            del self._by_worker[placed.worker_id]
        if not placed.told:
            self._count(placed, -1)
        return placed.worker_id

    def heard(self, worker: Worker, now_s: float) -> None:
        """A record counts what it tells of, by whomever that was placed."""
        there = self._by_worker.get(worker.id)
        if not there:
            return
        starting = Counter(worker.starting)
        for request_id, placed in list(there.items()):
            if placed.instance_id:
                if placed.instance_id in worker.instances or now_s >= placed.until_s:
                    self.drop(request_id)
                continue
            told = starting[placed.function_id] > 0
            if told:
                starting[placed.function_id] -= 1
            if told != placed.told:
                placed.told, placed.since_s = told, now_s
                self._count(placed, -1 if told else 1)

    def waiting_on(self, worker_id: str, until_s: float) -> Iterator[str]:
        """Requests that it does not say to have begun, nor answered, and that are there since before then."""
        for request_id, placed in list(self._by_worker.get(worker_id, {}).items()):
            if not placed.told and not placed.instance_id and placed.since_s <= until_s:
                yield request_id

    def gone(self, worker_id: str) -> list[str]:
        """The worker is there no more: requests that it has not answered."""
        there = self._by_worker.get(worker_id, {})
        unanswered = [request_id for request_id, placed in there.items() if not placed.instance_id]
        for request_id in list(there):
            self.drop(request_id)
        return unanswered

    def _count(self, placed: _Placed, by: int) -> None:
        coming = self._coming.pop(placed.worker_id, Coming())
        instances = coming.instances + by
        if instances:
            size_bytes = coming.size_bytes + by * placed.size_bytes
            self._coming[placed.worker_id] = Coming(instances, size_bytes)
