"""Telling the registry how things are: every second, and at once when there is news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from aether.domain.errors import StoreUnavailable
from aether.domain.worker import Worker
from aether.ports.registry import Lease

log = structlog.get_logger()

HEARTBEAT_S = 1.0


class Telling:
    """`record` says how things are now."""

    def __init__(self, lease: Lease, record: Callable[[], Worker]) -> None:
        self._lease = lease
        self._record = record
        self._one_at_a_time = asyncio.Lock()
        self.news = asyncio.Event()
        """To be set when it begins to drain, or has less room, or more."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.news.clear()
            await self.publish()
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self.news.wait()

    async def publish(self) -> None:
        """Now. One at a time, so that none overtakes a newer one."""
        async with self._one_at_a_time:
            try:
                await self._lease.put_worker(self._record())
            except StoreUnavailable as error:
                log.warning("registry away, heartbeat not sent", reason=error.message)
