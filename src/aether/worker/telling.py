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
PAUSE_PER_INSTANCE_S, LONGEST_PAUSE_S = 0.002, 0.5
"""Between two records, however much news there is: each has all instances in it, and goes to every reader."""


class Telling:
    """`record` says how things are now."""

    def __init__(self, lease: Lease, record: Callable[[], Worker]) -> None:
        self._lease = lease
        self._record = record
        self._one_at_a_time = asyncio.Lock()
        self._instances = 0
        """In the last record."""
        self.news = asyncio.Event()
        """To be set when it begins to drain, or has less room, or more."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.news.clear()
            await self.publish()
            await asyncio.sleep(min(self._instances * PAUSE_PER_INSTANCE_S, LONGEST_PAUSE_S))
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S - LONGEST_PAUSE_S):
                    await self.news.wait()

    async def publish(self) -> None:
        """Now. One at a time, so that none overtakes a newer one."""
        async with self._one_at_a_time:
            record = self._record()
            self._instances = len(record.instances) + sum(record.starting.values())
            try:
                await self._lease.put_worker(record)
            except StoreUnavailable as error:
                log.warning("registry away, heartbeat not sent", reason=error.message)
