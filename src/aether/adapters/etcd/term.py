"""A term of leading on etcd, as long as its lease is prolonged in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from aether.adapters.etcd.json_gateway import JsonGateway
from aether.domain.errors import StoreUnavailable
from aether.ports.election import Fence

log = structlog.get_logger()

RENEWALS = 6
"""In one time to live, so that one or two may go wrong."""
MARGIN = 1 / 6
"""Of the time to live: so much sooner than etcd the leader takes it for over, for what is on its way."""


def now_s() -> float:
    """Never goes back, and goes on while the host sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease, by what it was asked for with."""

    lease_id: str
    ttl_s: int
    asked_at_s: float


class EtcdTerm:
    """Implements `aether.ports.election.Term`. One task prolongs the lease, another sees it run out."""

    def __init__(
        self,
        gateway: JsonGateway,
        fence: Fence,
        granted: Granted,
        on_end: Callable[[EtcdTerm], None],
    ) -> None:
        self._gateway = gateway
        self._fence = fence
        self._lease_id, self._ttl_s = granted.lease_id, granted.ttl_s
        self._on_end = on_end
        self._over = asyncio.Event()
        self._until_s = 0.0
        self._prolonged(granted.asked_at_s, granted.ttl_s)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._prolonging(), name="term of leading"),
            loop.create_task(self._running_out(), name="end of a term"),
        ]

    @property
    def holds(self) -> bool:
        if not self._over.is_set() and now_s() >= self._until_s:
            self._end("its lease was not prolonged in time")
        return not self._over.is_set()

    @property
    def fence(self) -> Fence:
        return self._fence

    async def over(self) -> None:
        await self._over.wait()

    async def resign(self) -> None:
        if await self.abandon():
            # What can't be revoked now runs out by itself.
            with suppress(StoreUnavailable):
                await self._gateway.call("lease/revoke", {"ID": self._lease_id})

    async def abandon(self) -> bool:
        """Prolong it no more; False if that was so before."""
        if not self._tasks:
            return False
        tasks, self._tasks = self._tasks, []
        self._over.set()
        self._on_end(self)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return True

    def _prolonged(self, asked_at_s: float, ttl_s: float) -> None:
        """etcd counts from when it heard, which was later than we asked."""
        self._until_s = asked_at_s + ttl_s * (1 - MARGIN)

    def _end(self, why: str) -> None:
        if not self._over.is_set():
            log.warning("leads no more", reason=why)
            self._over.set()

    async def _prolonging(self) -> None:
        pause_s = self._ttl_s / RENEWALS
        while self.holds:
            await asyncio.sleep(pause_s)
            asked_at_s = now_s()
            try:
                async with asyncio.timeout(2 * pause_s):
                    answer = await self._gateway.call("lease/keepalive", {"ID": self._lease_id})
            except (StoreUnavailable, TimeoutError):
                continue
            ttl_s = int(answer.get("TTL", 0))
            if ttl_s <= 0:
                self._end("its lease is gone")
            elif self.holds:
                self._prolonged(asked_at_s, ttl_s)

    async def _running_out(self) -> None:
        while self.holds:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._until_s - now_s())):
                    await self._over.wait()
