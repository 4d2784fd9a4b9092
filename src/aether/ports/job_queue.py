"""Asking workers for instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aether.domain.job import JobReply, ProvisionJob, Spare
from aether.ports.feed import Feed


class Claim(Protocol):
    """A job taken by a worker; until `done` it belongs to it, and returns to the queue if it dies.

    What is told while the engine is away is kept, and told when it is back: nothing here raises for that.
    """

    @property
    def job(self) -> ProvisionJob:
        """With `remaining_ms` as it is at the moment of taking."""
        ...

    @property
    def placed(self) -> bool:
        """Whether it came out of this worker's own queue: for nobody else, as its gateway saw it."""
        ...

    async def held(self) -> bool:
        """False once it is done or given back, or went to another worker because this one seemed dead.

        Asked before an instance is registered, so that a job asked for once is not done twice.
        True while the engine is away.
        """
        ...

    async def reply(self, reply: JobReply) -> None:
        """Tell who asked, with the worker's id; a reply nobody waits for is dropped."""
        ...

    async def done(self) -> None: ...

    async def give_back(self) -> None:
        """For another worker: this one has no room. To the end of the shared queue it is taken from."""
        ...


class JobQueue(Protocol):
    """Oldest first. A job is never handed out past its deadline; then it vanishes.

    `submit`, `take_placed` and `depth` raise StoreUnavailable when the engine is away; who takes or listens
    goes on when it is back.
    """

    async def submit(self, job: ProvisionJob, worker_id: str | None = None) -> None:
        """For any worker, or for one. Raises QueueFull when too many wait already."""
        ...

    async def take(self, worker_id: str, spare: Callable[[], Spare] | None = None) -> Claim:
        """The next job for this worker (its own queue first), waiting for one as long as it takes.

        Of those that are anybody's the oldest that `spare` holds; others are left where they are.
        """
        ...

    async def take_placed(self, worker_id: str) -> Claim | None:
        """A job out of this worker's own queue, if there is one; for who drains. Raises StoreUnavailable."""
        ...

    def replies(self, reply_to: str) -> Feed[JobReply]:
        """Replies to a name, from the moment of the call on; the caller closes it (`aclosing`)."""
        ...

    async def depth(self) -> int:
        """Jobs waiting, in all queues."""
        ...
