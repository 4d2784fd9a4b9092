"""Requests that instances were started for: in the registry for as long as somebody may come late for one."""

from __future__ import annotations

import asyncio
from collections import deque

from aether.ports.clock import Clock
from aether.ports.registry import Lease

KEPT_S = 60.0
"""After its instance has ended. A start takes half of that at most; who was cut off meanwhile comes later."""


class Requests:
    def __init__(self, lease: Lease, clock: Clock) -> None:
        self._lease = lease
        self._clock = clock
        self._over: deque[tuple[float, str]] = deque()
        self._more = asyncio.Event()

    def over(self, request_id: str) -> None:
        """Its instance has ended."""
        self._over.append((self._clock.monotonic() + KEPT_S, request_id))
        self._more.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._more.clear()
            while self._over:
                due_s, request_id = self._over[0]
                left_s = due_s - self._clock.monotonic()
                if left_s > 0:
                    await asyncio.sleep(left_s)
                self._over.popleft()
                await self._lease.release_request(request_id)
            await self._more.wait()
