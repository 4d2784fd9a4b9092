"""Telling who asked for an instance what became of it."""

from __future__ import annotations

from aether.domain.job import JobReply
from aether.ports.job_queue import Claim


class Answering:
    """Of one instance of a claimed job."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._told = False

    async def reply(self, outcome: JobReply) -> None:
        """The job is done with that."""
        self._told = True
        await self._claim.reply(outcome)
        await self._claim.done()

    async def no_room(self, why: str) -> None:
        await self._failed(why, capacity=True)

    async def broke(self, error: Exception) -> None:
        """We did, not the function. Nothing where an answer was given before."""
        if not self._told:
            await self._failed(f"internal error: {error!r}", capacity=False)

    async def _failed(self, why: str, *, capacity: bool) -> None:
        job = self._claim.job
        await self.reply(
            JobReply(job.request_id, job.function_id, job.revision, None, error=why, capacity=capacity)
        )
