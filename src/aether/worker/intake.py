"""Taking jobs, as long as there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress

from aether.domain.errors import StoreUnavailable
from aether.domain.ids import new_id
from aether.domain.job import ProvisionJob, Spare
from aether.domain.memory import MIB
from aether.ports.job_queue import Claim, JobQueue
from aether.worker.answering import Answering, Part
from aether.worker.capacity import SMALLEST_INSTANCE_MIB, Capacity
from aether.worker.side_by_side import one_ended, side_by_side

LOOK_AGAIN_S = 1.0
"""For what was placed on a worker that drains, late."""


class Intake:
    """`begin` starts one instance of a job that was taken; its memory is given to it by then."""

    def __init__(
        self,
        worker_id: str,
        jobs: JobQueue,
        capacity: Capacity,
        runtimes: Collection[str],
        begin: Callable[[Part, ProvisionJob, str], None],
    ) -> None:
        self._worker_id = worker_id
        self._jobs = jobs
        self._capacity = capacity
        self._runtimes = runtimes
        self._begin = begin
        self.closed = asyncio.Event()
        """Set, no job is begun any more."""

    async def run(self) -> None:
        """Until it is closed; then, until cancelled, what is placed on this worker goes elsewhere."""
        while not self.closed.is_set():
            async with side_by_side(self._next(), self.closed.wait()) as (taken, closed):
                await one_ended(taken, closed)
                if taken.done():
                    await self._look_at(taken.result())
        while True:
            with suppress(StoreUnavailable):
                while (claim := await self._jobs.take_placed(self._worker_id)) is not None:
                    await Answering(claim).no_room(f"worker {self._worker_id} drains")
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _next(self) -> Claim:
        await self._capacity.room_for(SMALLEST_INSTANCE_MIB)
        return await self._jobs.take(self._worker_id, self._spare)

    async def _look_at(self, claim: Claim) -> None:
        job, answering = claim.job, Answering(claim)
        if self.closed.is_set():
            await answering.no_room(f"worker {self._worker_id} drains")
        elif (why_not := self._why_not(job)) is None:
            for part in answering.parts():
                instance_id = new_id("inst")
                # Here, not when its task begins: the next job may be looked at before that.
                self._capacity.take(instance_id, job.memory_mb)
                self._begin(part, job, instance_id)
        else:
            await answering.no_room(why_not)

    def _spare(self) -> Spare:
        """What of anybody's jobs there is room for."""
        room = self._capacity.look()
        return Spare(
            memory_mib=0 if room.short_of else room.free // MIB,
            overhead_mib=-(-self._capacity.overhead // MIB),
            instances=room.slots,
            runtimes=tuple(self._runtimes),
        )

    def _why_not(self, job: ProvisionJob) -> str | None:
        return self._capacity.why_not(self._worker_id, job.memory_mb, job.count)
