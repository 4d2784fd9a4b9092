"""The job queue port on Redis."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial

import structlog

from aether.adapters.redis.claim import RedisClaim
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.job_form import BARE_REMAINING_MS, dump_job, load_job
from aether.adapters.redis.names import SHARED, placed_on
from aether.adapters.redis.owner import Owner
from aether.adapters.redis.pipe import Argument
from aether.adapters.redis.reading import Reading
from aether.adapters.redis.replies import Replies, send
from aether.adapters.redis.scripted import Scripts
from aether.domain.errors import QueueFull, StoreUnavailable
from aether.domain.job import JobReply, ProvisionJob, Spare
from aether.ports.feed import Feed
from aether.ports.job_queue import Claim

log = structlog.get_logger()

ALIVE_S = 10.0
"""A worker that isn't heard of for so long is dead, and its jobs go to others: as long as a lease."""
RETRY_S = 0.2
LOOK_AGAIN_S = 0.25
"""At jobs that did not fit."""


class RedisJobQueue:
    """Implements `aether.ports.job_queue.JobQueue`. What it opened ends with `aclose`, except the clients."""

    def __init__(
        self,
        clients: RedisClients,
        *,
        max_jobs: int = 10_000,
        reply_buffer: int = 10_000,
        alive_s: float = ALIVE_S,
    ) -> None:
        """`max_jobs`: in one queue; `reply_buffer`: unread replies of one listener."""
        self._clients = clients
        self._scripts = Scripts(clients)
        self._max_jobs = max_jobs
        self._reply_buffer = reply_buffer
        self._alive_s = alive_s
        self._owners: dict[str, Owner] = {}
        self._listeners: set[Reading[JobReply]] = set()

    async def submit(self, job: ProvisionJob, worker_id: str | None = None) -> None:
        await self._until_listeners_are_open()
        if job.remaining_ms <= 0:
            return
        queue = SHARED if worker_id is None else placed_on(worker_id)
        arguments: list[Argument] = [dump_job(job), job.remaining_ms, self._max_jobs, worker_id or ""]
        if not await self._scripts.run("submit", [queue], arguments):
            raise QueueFull(f"{self._max_jobs} provisioning jobs wait already")

    async def take(self, worker_id: str, spare: Callable[[], Spare] | None = None) -> Claim:
        owner = self._owner(worker_id)
        away = False
        while True:
            try:
                found = await self._take_now(owner, spare() if spare is not None else None)
                if isinstance(found, RedisClaim):
                    return found
                away = False
                await owner.bell.wait(only_own_for_s=LOOK_AGAIN_S if found else None)
            except StoreUnavailable as error:
                if not away:
                    log.warning("Redis away, jobs are taken when it is back", reason=error.message)
                away = True
                await asyncio.sleep(RETRY_S)

    async def take_placed(self, worker_id: str) -> Claim | None:
        found = await self._take_now(self._owner(worker_id), placed=True)
        return found if isinstance(found, RedisClaim) else None

    def replies(self, reply_to: str) -> Feed[JobReply]:
        listener = Replies(self._clients, reply_to, self._reply_buffer, self._listeners.discard)
        self._listeners.add(listener)
        return listener

    async def depth(self) -> int:
        return int(await self._scripts.run("depth", [], [BARE_REMAINING_MS]))

    async def aclose(self) -> None:
        """Jobs that were taken and are not done go to others at once."""
        for listener in list(self._listeners):
            await listener.aclose()
        for owner in self._owners.values():
            await owner.aclose()
        self._owners.clear()

    def _owner(self, worker_id: str) -> Owner:
        owner = self._owners.get(worker_id)
        if owner is None:
            owner = Owner(self._clients, self._scripts, worker_id, self._alive_s)
            self._owners[worker_id] = owner
        return owner

    async def _take_now(
        self, owner: Owner, spare: Spare | None = None, *, placed: bool = False
    ) -> RedisClaim | bool:
        """A claim, or whether something was left to others.

        Whatever Redis handed over to one who doesn't hear of it any more goes back.
        """
        claim_id = secrets.token_hex(8)
        give_back = partial(owner.give_back, claim_id)
        taking = asyncio.ensure_future(self._taken(owner, claim_id, spare, placed=placed))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            owner.tell_after(taking, give_back)
            raise
        except StoreUnavailable:
            owner.tell_later(give_back)
            raise

    async def _taken(
        self, owner: Owner, claim_id: str, spare: Spare | None, *, placed: bool
    ) -> RedisClaim | bool:
        """Out of both queues, or only out of its own."""
        own, shared = owner.queues
        limits: list[Argument] = (
            [] if spare is None else [spare.memory_mib, spare.overhead_mib, spare.instances, *spare.runtimes]
        )
        while True:
            raw, remaining_ms, rejected, from_own, left = await self._scripts.run(
                "take",
                [own, own if placed else shared, owner.taken],
                [claim_id, owner.name, round(self._alive_s * 1000), BARE_REMAINING_MS, *limits],
            )
            for garbage in rejected:
                _tell_rejected(garbage, "not JSON, or no object")
            if raw is None:
                return bool(left)
            try:
                job = load_job(raw, remaining_ms)
            except ValueError as error:
                _tell_rejected(raw, str(error))
                await self._scripts.run("reject", [owner.taken], [claim_id])
            else:
                return RedisClaim(owner, claim_id, job, self._send, placed=bool(from_own))

    async def _send(self, reply_to: str, reply: JobReply) -> None:
        await self._until_listeners_are_open()
        await send(self._scripts, reply_to, reply)

    async def _until_listeners_are_open(self) -> None:
        for listener in list(self._listeners):
            await listener.until_open()


def _tell_rejected(raw: bytes, reason: str) -> None:
    log.warning("garbage in the job queue, set aside", reason=reason, begins=repr(raw[:80]))
