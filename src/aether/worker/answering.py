"""Telling who asked for instances what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aether.domain.job import JobReply
from aether.ports.job_queue import Claim

PAUSE_S = 0.5
"""Before a job goes back that failed here at once, so that it does not go round and round."""
SURELY_OURS_S = 5.0
"""For so long after it was taken a job can't have gone to another: that takes twice as long, at least."""


class Answering:
    """Of a claimed job, which may ask for several instances: it is done when all have been told of."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self._left = claim.job.count
        self._taken_at_s = asyncio.get_running_loop().time()

    def parts(self) -> list[Part]:
        return [Part(self, number) for number in range(self.claim.job.count)]

    async def held(self) -> bool:
        """Whether the job is this worker's still; asked before an instance is registered."""
        if asyncio.get_running_loop().time() - self._taken_at_s < SURELY_OURS_S:
            return True
        return await self.claim.held()

    async def ended(self) -> None:
        """One more has been told of."""
        self._left -= 1
        if self._left == 0:
            await self.claim.done()

    async def no_room(self, why: str) -> None:
        """None of them can be had here."""
        job = self.claim.job
        if job.reply_to and self.claim.placed:
            await self.claim.reply(_failed(job.request_id, self.claim, why, capacity=True))
            await self.claim.done()
        else:
            await self.claim.give_back()


class Part:
    """One instance of a job."""

    def __init__(self, answering: Answering, number: int) -> None:
        claim = answering.claim
        self.request_id = f"{claim.job.request_id}#{number + 1}" if number else claim.job.request_id
        self.held = answering.held
        self._answering = answering
        self._claim = claim
        self._ended = False
        self.on_outcome: Callable[[JobReply], None] = lambda _outcome: None

    async def started(self, outcome: JobReply) -> None:
        """It is about to be registered."""
        self.on_outcome(outcome)
        await self._claim.reply(outcome)

    async def done(self) -> None:
        """It is registered, or another is in its place."""
        if not self._ended:
            self._ended = True
            await self._answering.ended()

    async def failed(self, outcome: JobReply) -> None:
        """Of a job that failed for want of room, and that nobody waits to hear of, others may make more."""
        self.on_outcome(outcome)
        job = self._claim.job
        if outcome.capacity and not job.reply_to and job.count == 1:
            self._ended = True
            await asyncio.sleep(PAUSE_S)
            await self._claim.give_back()
        else:
            await self._claim.reply(outcome)
            await self.done()

    async def broke(self, error: Exception) -> None:
        """We did, not the function. Nothing where an answer was given before."""
        if not self._ended:
            request_id = self._claim.job.request_id
            why = f"internal error: {error!r}"
            await self.failed(_failed(request_id, self._claim, why, capacity=False))


def _failed(request_id: str, claim: Claim, why: str, *, capacity: bool) -> JobReply:
    job = claim.job
    return JobReply(request_id, job.function_id, job.revision, None, error=why, capacity=capacity)
