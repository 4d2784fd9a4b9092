"""Starts' way to a worker: placed, put into its queue, and elsewhere when it has no room after all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from aether.domain.errors import AetherError, NoCapacity, StoreUnavailable
from aether.domain.job import ProvisionJob
from aether.gateway.placing import Placing
from aether.gateway.start import Start
from aether.ports.clock import Clock
from aether.ports.job_queue import JobQueue


class Sending:
    """`refused` hears of what could not be submitted; `run` has to be running for anything to be."""

    def __init__(
        self,
        jobs: JobQueue,
        placing: Placing,
        clock: Clock,
        refused: Callable[[ProvisionJob, AetherError], None],
    ) -> None:
        self._jobs = jobs
        self._placing = placing
        self._clock = clock
        self._refused = refused
        self._outbox: deque[Start] = deque()
        self._wake = asyncio.Event()

    def post(self, start: Start) -> None:
        self._outbox.append(start)
        self._wake.set()

    def found_another(self, start: Start) -> bool:
        """Whether a start that its worker has no room for can be had of another: then it is on its way."""
        worker_id = self._placing.ended(start.id)
        if worker_id is None:
            return False
        start.tried.add(worker_id)
        if self._placing.place(start.job, start.tried) is None:
            return False
        self.post(start)
        return True

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                start = self._outbox.popleft()
                if start.ended:
                    continue
                try:
                    await self._submit(start)
                except StoreUnavailable as error:
                    # What was submitted before may lie there still: it is asked for again when that is known.
                    if not start.submitted:
                        self._refused(start.job, error)
                except AetherError as error:
                    self._refused(start.job, error)
                else:
                    start.submitted = True

    async def _submit(self, start: Start) -> None:
        """Raises NoCapacity, and what the queue raises."""
        placement = self._placing.place(start.job, start.tried)
        if placement is None:
            raise NoCapacity("no worker has room for it")
        start.anyones = placement.worker_id is None
        if placement.worker_id is not None:
            self._placing.placed(start.job, placement.worker_id)
        left_ms = max(0, round((start.expires_at_s - self._clock.monotonic()) * 1000))
        await self._jobs.submit(replace(start.job, remaining_ms=left_ms), placement.worker_id)
