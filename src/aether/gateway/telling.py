"""What this gateway asks for, in the registry: every second, and at once when somebody should know."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from aether import __version__
from aether.domain.errors import StoreUnavailable
from aether.domain.gateway import GATEWAY, GatewayRecord
from aether.gateway.asks import Asks
from aether.ports.clock import Clock
from aether.ports.registry import Lease, Registry

log = structlog.get_logger()

EVERY_S = 1.0
APART_S = 0.02
"""The first news after a quiet time are told at once, and what follows is told together after so long."""
EACH_S = 0.0005
"""And so much later for each function that there is something to say of: long records cost every reader."""
RETRY_S = 0.5
CLOSE_WITHIN_S = 1.0


class Telling:
    """`run` is its whole life. `address` and `leads` are there for who knows them."""

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        gateway_id: str,
        asks: Callable[[], Asks],
        *,
        role: str = GATEWAY,
        unreachable: Mapping[str, str] | None = None,
    ) -> None:
        """`unreachable` are workers and why, as they are then."""
        self._registry = registry
        self._clock = clock
        self._id = gateway_id
        self._asks = asks
        self._role = role
        self._unreachable = {} if unreachable is None else unreachable
        self._news = asyncio.Event()
        self.address = ""
        """Where it takes requests."""
        self.leads: Callable[[], bool] = lambda: False

    def news(self) -> None:
        self._news.set()

    async def run(self) -> None:
        """Until cancelled: then the record is gone."""
        lease = await self._lease()
        try:
            while True:
                self._news.clear()
                asks = self._asks().bounded()
                next_s = self._clock.monotonic() + APART_S + EACH_S * asks.size
                try:
                    await lease.put_gateway(self._record(asks))
                except StoreUnavailable as error:
                    log.warning("registry away, this gateway is not seen", reason=error.message)
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await self._news.wait()
                        await asyncio.sleep(max(0.0, next_s - self._clock.monotonic()))
        finally:
            # What can't be taken back now runs out by itself.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await lease.close()

    def _record(self, asks: Asks) -> GatewayRecord:
        return GatewayRecord(
            id=self._id,
            hostname=socket.gethostname(),
            version=__version__,
            last_heartbeat=self._clock.now(),
            role=self._role,
            address=self.address,
            leads=self.leads(),
            waiting=asks.waiting,
            starting=asks.starting,
            missing_room=asks.missing_room,
            trying_again=asks.trying_again,
            took_over=asks.took_over,
            unreachable=dict(self._unreachable),
        )

    async def _lease(self) -> Lease:
        while True:
            try:
                return await self._registry.lease(self._id)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
