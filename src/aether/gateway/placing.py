"""Which worker a start goes to: `domain/placement` over what this gateway knows."""

from __future__ import annotations

from collections.abc import Container
from random import Random

from aether.domain.errors import NoCapacity
from aether.domain.function import Version
from aether.domain.job import ProvisionJob
from aether.domain.memory import bytes_on
from aether.domain.placement import Coming, Placement, Want, may_take, place, why_not
from aether.domain.worker import Worker
from aether.gateway.on_the_way import OnTheWay
from aether.gateway.routes import RouteTable
from aether.ports.clock import Clock

LOST_AFTER_S = 5.0
"""A worker takes what is placed on it at once, and tells of that within a second."""


class Placing:
    """Of one gateway; others decide the same by their own view."""

    def __init__(self, routes: RouteTable, clock: Clock, random: Random | None = None) -> None:
        self._routes = routes
        self._clock = clock
        self._random = random or Random()
        self._on_the_way = OnTheWay()

    def has_room(self, version: Version) -> bool:
        """Whether a start of it could go anywhere."""
        want = Want(version.memory_mb, version.runtime)
        return any(self._why_not(w, want) is None or may_take(w) for w in self._routes.workers.values())

    def place(self, job: ProvisionJob, tried: Container[str] = ()) -> Placement | None:
        """None where nobody has room; `tried` have refused it."""
        return place(
            Want(job.memory_mb, job.runtime),
            self._routes.workers.values(),
            self._random,
            coming=self._on_the_way.coming,
            holders=self._routes.holders.of(job.code_sha256),
            tried=tried,
            unreachable=self._routes.unreachable,
        )

    def none_for(self, name: str, want: Want) -> NoCapacity:
        """What to say of a function where nobody has room."""
        workers = self._routes.workers.values()
        if not workers:
            return NoCapacity("no worker is there to start an instance", hint="start a worker")
        if all(worker.draining for worker in workers):
            return NoCapacity("every worker drains, and starts nothing any more", hint="start a worker")
        why = "; ".join(reason for w in workers if (reason := self._why_not(w, want)) is not None)
        return NoCapacity(
            f"no worker has room for an instance of {name}" + (f": {why}" if why else ""),
            hint="add a worker, or lower memory_mb of the function",
        )

    # What becomes of placed starts

    def placed(self, job: ProvisionJob, worker_id: str) -> None:
        worker = self._routes.workers[worker_id]
        size_bytes = bytes_on(worker, job.memory_mb)
        self._on_the_way.put(job, worker_id, size_bytes, self._clock.monotonic())

    def where(self, request_id: str) -> str | None:
        """The worker that it was placed on, as long as that is not answered."""
        return self._on_the_way.where(request_id)

    def ready(self, request_id: str, instance_id: str) -> None:
        self._on_the_way.ready(request_id, instance_id, self._clock.monotonic())

    def ended(self, request_id: str) -> str | None:
        """It came to nothing; the worker that it was placed on, if on one."""
        return self._on_the_way.drop(request_id)

    def heard(self, worker: Worker) -> list[str]:
        """A heartbeat; requests to be placed again: it drains and has not begun them, or their jobs are lost.

        So they are where a queue lost all it had. One that was late, and is begun twice, is shown once.
        """
        now_s = self._clock.monotonic()
        self._on_the_way.heard(worker, now_s)
        return list(
            self._on_the_way.waiting_on(worker.id, now_s if worker.draining else now_s - LOST_AFTER_S)
        )

    def gone(self, worker_id: str) -> list[str]:
        """The worker is there no more; requests that have to go elsewhere."""
        return self._on_the_way.gone(worker_id)

    def _why_not(self, worker: Worker, want: Want) -> str | None:
        return why_not(worker, want, self._on_the_way.coming.get(worker.id, Coming()))
