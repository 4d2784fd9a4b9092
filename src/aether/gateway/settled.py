"""A registry for the management API: a change it made is in this gateway's routes when it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from aether.domain.function import FunctionConfig
from aether.domain.instance import InstanceStatus
from aether.domain.worker import DrainWish
from aether.gateway.routes import RouteTable
from aether.ports.election import Fence
from aether.ports.feed import Feed
from aether.ports.registry import Change, Lease, Registry, View, Wants

SETTLE_WITHIN_S = 2.0
"""A registry that is slow to tell of the change must not hold up its answer for ever."""


class SettledRegistry:
    """Implements `aether.ports.registry.Registry` over another one."""

    def __init__(self, registry: Registry, routes: RouteTable) -> None:
        self._registry = registry
        self._routes = routes

    async def put_function(self, config: FunctionConfig) -> None:
        await self._registry.put_function(config)
        await _briefly(self._routes.settled(config.id, config))

    async def claim(self, database: str) -> str:
        return await self._registry.claim(database)

    async def remove_function(self, function_id: str) -> None:
        await self._registry.remove_function(function_id)
        await _briefly(self._routes.settled(function_id, None))

    async def lease(self, worker_id: str) -> Lease:
        return await self._registry.lease(worker_id)

    async def set_status(
        self, function_id: str, instance_id: str, status: InstanceStatus, fence: Fence | None = None
    ) -> bool:
        return await self._registry.set_status(function_id, instance_id, status, fence)

    async def ask_to_drain(self, wish: DrainWish) -> bool:
        return await self._registry.ask_to_drain(wish)

    async def view(self) -> View:
        return await self._registry.view()

    def watch(self, after_revision: int, wants: Wants | None = None) -> Feed[Change]:
        return self._registry.watch(after_revision, wants)


async def _briefly(wait: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(SETTLE_WITHIN_S):
            await wait
    except TimeoutError:
        return
