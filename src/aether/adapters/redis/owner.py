"""A worker as Redis sees it: what it has taken, and the sign that it lives."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog

from aether.adapters.redis.bell import Bell
from aether.adapters.redis.clients import RedisClients, Refused, answering
from aether.adapters.redis.names import SHARED, placed_on, taken_by
from aether.adapters.redis.scripted import Scripts
from aether.domain.errors import StoreUnavailable

log = structlog.get_logger()

REAPED_AT_ONCE = 10
MOST_LATE = 10_000
"""Things to tell Redis when it is back; over that, the oldest are left to the reaper."""

Late = Callable[[], Awaitable[object]]


class Owner:
    """Of claims. Its task tells that it lives, does what Redis was away for, and reaps the dead."""

    def __init__(self, clients: RedisClients, scripts: Scripts, worker_id: str, alive_s: float) -> None:
        self.worker_id = worker_id
        self.name = f"{worker_id}/{secrets.token_hex(8)}"
        self.taken = taken_by(self.name)
        self.queues = (placed_on(worker_id), SHARED)
        self.bell = Bell(clients, self.queues)
        self._clients = clients
        self._scripts = scripts
        self._alive_s = alive_s
        self._late: deque[Late] = deque(maxlen=MOST_LATE)
        self._abandoned: set[asyncio.Task[Any]] = set()
        self._wake = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._beat(), name=f"job owner {worker_id}")

    async def holds(self, claim_id: str) -> bool:
        async with answering("look for a claim"):
            return bool(await self._clients.pipe.call("HEXISTS", self.taken, claim_id))

    async def finish(self, claim_id: str) -> None:
        async with answering("note that a job is done"):
            await self._clients.pipe.call("HDEL", self.taken, claim_id)

    async def give_back(self, claim_id: str) -> None:
        await self._scripts.run("give_back", [self.taken], [claim_id])

    async def tell(self, thing: Late) -> None:
        """Do it now, or when Redis is back."""
        try:
            await thing()
        except Refused as error:
            log.warning("refused by Redis, given up", worker=self.worker_id, reason=error.message)
        except StoreUnavailable as error:
            log.warning("Redis away, done when it is back", worker=self.worker_id, reason=error.message)
            self.tell_later(thing)

    def tell_later(self, thing: Late) -> None:
        self._late.append(thing)
        self._wake.set()

    def tell_after(self, first: asyncio.Task[Any], thing: Late) -> None:
        """When `first` has come to an end, which nobody waits for any more."""

        def ended(_: asyncio.Task[Any]) -> None:
            self._abandoned.discard(first)
            if not first.cancelled():
                first.exception()  # seen: it changes nothing
            self.tell_later(thing)

        self._abandoned.add(first)
        first.add_done_callback(ended)

    async def aclose(self) -> None:
        """What is still taken goes back."""
        await asyncio.gather(*self._abandoned, return_exceptions=True)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self.bell.aclose()
        with suppress(StoreUnavailable):
            await self._tell_all()
            await self._scripts.run("leave", [], [self.name])

    async def _beat(self) -> None:
        """Reaps only after as long in touch with Redis as others are given to tell that they live.

        Where Redis was away, or this process stood still, they couldn't.
        """
        loop = asyncio.get_running_loop()
        every_s = self._alive_s / 3
        steady_since_s = loop.time()
        while True:
            began_s = loop.time()
            self._wake.clear()
            try:
                async with asyncio.timeout(self._alive_s):
                    await self._scripts.run("beat", [self.taken], [self.name, round(self._alive_s * 1000)])
                    await self._tell_all()
                    if began_s - steady_since_s > self._alive_s:
                        await self._reap()
            except (StoreUnavailable, TimeoutError):
                steady_since_s = loop.time()
            except Exception:
                log.exception("telling Redis failed", worker=self.worker_id)
                steady_since_s = loop.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._wake.wait()
            if loop.time() - began_s > 2 * every_s:
                steady_since_s = loop.time()

    async def _tell_all(self) -> None:
        while self._late:
            thing = self._late.popleft()
            try:
                await thing()
            except Refused as error:
                log.warning("refused by Redis, given up", worker=self.worker_id, reason=error.message)
            except (StoreUnavailable, asyncio.CancelledError):
                self._late.appendleft(thing)
                raise

    async def _reap(self) -> None:
        returned = await self._scripts.run("reap", [], [REAPED_AT_ONCE])
        if returned:
            log.warning("jobs of workers that are gone went back to the queue", jobs=returned)
