"""The job queue port in one process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from aether.adapters.memory.fanout import Fanout
from aether.domain.errors import QueueFull
from aether.domain.job import JobReply, ProvisionJob, Spare
from aether.ports.clock import Clock
from aether.ports.feed import Feed
from aether.ports.job_queue import Claim

LOOK_AGAIN_S = 0.25
"""At jobs that did not fit."""
SHARED = None
"""The queue that any worker takes from, beside one for each worker id."""


@dataclass(frozen=True, slots=True)
class _Queued:
    job: ProvisionJob
    expires_at_s: float
    """On the queue's clock: set once, so that giving a job back does not prolong it."""


class MemoryJobQueue:
    """Implements `aether.ports.job_queue.JobQueue`. A claim ends with the process, as its worker does."""

    def __init__(self, clock: Clock, *, max_jobs: int = 10_000, reply_buffer: int = 10_000) -> None:
        """`max_jobs`: in all queues; `reply_buffer`: unread replies of one listener."""
        self._clock = clock
        self._max_jobs = max_jobs
        self._queues: dict[str | None, deque[_Queued]] = {}
        self._waiting: dict[asyncio.Future[None], str] = {}
        self._replies: Fanout[JobReply] = Fanout(reply_buffer)

    async def submit(self, job: ProvisionJob, worker_id: str | None = None) -> None:
        if self._size() >= self._max_jobs and await self.depth() >= self._max_jobs:
            raise QueueFull(f"{self._max_jobs} provisioning jobs wait already")
        expires_at_s = self._clock.monotonic() + job.remaining_ms / 1000
        self._queues.setdefault(worker_id, deque()).append(_Queued(job, expires_at_s))
        self._wake(worker_id)

    async def take(self, worker_id: str, spare: Callable[[], Spare] | None = None) -> Claim:
        # One turn of the loop first: a worker that gives back and takes again lets others go before it.
        await asyncio.sleep(0)
        while (claim := self._next(worker_id, worker_id) or self._anyones(worker_id, spare)) is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting[waiter] = worker_id
            try:
                # What is left to others may fit in a moment.
                async with asyncio.timeout(LOOK_AGAIN_S if self._queues.get(SHARED) else None):
                    await waiter
            except TimeoutError:
                continue
            finally:
                del self._waiting[waiter]
        return claim

    async def take_placed(self, worker_id: str) -> Claim | None:
        return self._next(worker_id, worker_id)

    def replies(self, reply_to: str) -> Feed[JobReply]:
        return self._replies.subscribe(reply_to)

    async def depth(self) -> int:
        now_s = self._clock.monotonic()
        kept = {
            worker_id: live
            for worker_id, queue in self._queues.items()
            if (live := deque(queued for queued in queue if queued.expires_at_s > now_s))
        }
        self._queues = kept
        return self._size()

    def publish_reply(self, reply_to: str, reply: JobReply) -> None:
        self._replies.publish(reply_to, reply)

    def put_back(self, queued: _Queued) -> None:
        self._queues.setdefault(SHARED, deque()).appendleft(queued)
        self._wake(SHARED)

    def _size(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def _anyones(self, worker_id: str, spare: Callable[[], Spare] | None) -> _MemoryClaim | None:
        queue = self._queues.get(SHARED)
        if spare is not None and queue:
            has = spare()
            fits = next((queued for queued in queue if has.holds(queued.job)), None)
            if fits is None:
                return None
            queue.remove(fits)
            queue.appendleft(fits)
        return self._next(SHARED, worker_id)

    def _next(self, name: str | None, worker_id: str) -> _MemoryClaim | None:
        """Out of the queue of that name, for that worker."""
        queue = self._queues.get(name)
        while queue:
            queued = queue.popleft()
            if not queue:
                del self._queues[name]
            remaining_ms = int((queued.expires_at_s - self._clock.monotonic()) * 1000)
            if remaining_ms > 0:
                job = replace(queued.job, remaining_ms=remaining_ms)
                return _MemoryClaim(self, worker_id, queued, job, placed=name is not SHARED)
        return None

    def _wake(self, worker_id: str | None) -> None:
        """Wake all who could take, not one: the one might be cancelled, or choose another job."""
        for waiter, waiting_id in self._waiting.items():
            if worker_id in (SHARED, waiting_id) and not waiter.done():
                waiter.set_result(None)


class _MemoryClaim:
    """Implements `aether.ports.job_queue.Claim`."""

    def __init__(
        self, queue: MemoryJobQueue, worker_id: str, queued: _Queued, job: ProvisionJob, *, placed: bool
    ) -> None:
        self.placed = placed
        self._queue = queue
        self._worker_id = worker_id
        self._queued = queued
        self._job = job
        self._open = True

    @property
    def job(self) -> ProvisionJob:
        return self._job

    async def held(self) -> bool:
        return self._open

    async def reply(self, reply: JobReply) -> None:
        self._queue.publish_reply(self._job.reply_to, replace(reply, worker_id=self._worker_id))

    async def done(self) -> None:
        self._open = False

    async def give_back(self) -> None:
        if self._open:
            self._open = False
            self._queue.put_back(self._queued)
