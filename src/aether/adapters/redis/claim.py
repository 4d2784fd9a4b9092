"""A job that was taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from aether.adapters.redis.owner import Owner
from aether.domain.errors import StoreUnavailable
from aether.domain.job import JobReply, ProvisionJob


class RedisClaim:
    """Implements `aether.ports.job_queue.Claim`."""

    def __init__(
        self,
        owner: Owner,
        claim_id: str,
        job: ProvisionJob,
        send: Callable[[str, JobReply], Awaitable[None]],
        *,
        placed: bool,
    ) -> None:
        self.placed = placed
        self._owner = owner
        self._id = claim_id
        self._job = job
        self._send = send
        self._open = True

    @property
    def job(self) -> ProvisionJob:
        return self._job

    async def held(self) -> bool:
        if not self._open:
            return False
        try:
            return await self._owner.holds(self._id)
        except StoreUnavailable:
            return True

    async def reply(self, reply: JobReply) -> None:
        if self._job.reply_to:
            told = replace(reply, worker_id=self._owner.worker_id)
            await self._owner.tell(lambda: self._send(self._job.reply_to, told))

    async def done(self) -> None:
        if self._open:
            self._open = False
            await self._owner.tell(lambda: self._owner.finish(self._id))

    async def give_back(self) -> None:
        if self._open:
            self._open = False
            await self._owner.tell(lambda: self._owner.give_back(self._id))
