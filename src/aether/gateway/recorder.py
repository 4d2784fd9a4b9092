"""Invocation records: a bounded buffer in memory, written in batches, off the request path."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

import structlog
from prometheus_client import Counter

from aether.domain.errors import AetherError
from aether.domain.invocation import Invocation
from aether.ports.clock import Clock
from aether.ports.invocation_log import InvocationLog

log = structlog.get_logger()
T = TypeVar("T")

WRITE_EVERY_S = 0.5
BATCH = 1_024
PRUNE_EVERY_S = 600.0
PRUNE_BATCH = 10_000


class Recorder:
    """`record` never waits. What does not fit, because the store is slow or away, is counted."""

    def __init__(
        self, store: InvocationLog, clock: Clock, dropped: Counter, *, keep: timedelta, capacity: int = 50_000
    ) -> None:
        self._store = store
        self._clock = clock
        self._dropped = dropped
        self._keep = keep
        self._capacity = capacity
        self._buffer: deque[Invocation] = deque()

    def record(self, invocation: Invocation) -> None:
        if len(self._buffer) >= self._capacity:
            self._dropped.inc()
            return
        self._buffer.append(invocation)

    async def run(self) -> None:
        """Until cancelled; then what is still there is written, once."""
        prune_at_s = self._clock.monotonic()
        try:
            while True:
                await asyncio.sleep(WRITE_EVERY_S)
                await self._write()
                if self._clock.monotonic() >= prune_at_s:
                    prune_at_s = self._clock.monotonic() + PRUNE_EVERY_S
                    await self._prune()
        finally:
            await asyncio.shield(self._write())

    async def _write(self) -> None:
        while self._buffer:
            if not await _whole(self._write_some()):
                return

    async def _write_some(self) -> bool:
        """Whether it was written."""
        batch = list(islice(self._buffer, BATCH))
        try:
            await self._store.append(batch)
        except AetherError as error:
            log.warning(
                "invocations not written, kept for the next try", count=len(batch), reason=error.message
            )
            return False
        for _ in batch:
            self._buffer.popleft()
        return True

    async def _prune(self) -> None:
        older_than = self._clock.now() - self._keep
        try:
            while await _whole(self._store.prune(older_than, PRUNE_BATCH)) == PRUNE_BATCH:
                pass
        except AetherError as error:
            log.warning("old invocations not removed", reason=error.message)


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Cancelled, it goes on to its end: a transaction cut in its middle may keep its lock for seconds."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    finally:
        await asyncio.wait({task})
