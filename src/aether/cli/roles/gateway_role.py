"""A gateway as a process: its stores, and with them its life."""

from __future__ import annotations

import asyncio

from aether.cli.announcing import announce, reason
from aether.cli.collection import settle
from aether.cli.roles.gateway import Around, make_api, make_gateway
from aether.cli.settings import Settings
from aether.cli.stores.health import look_at
from aether.cli.stores.opened import Stores
from aether.cli.stores.shared import Opened, open_gateway_stores
from aether.controller.controller import Controller
from aether.gateway.gateway import Gateway
from aether.images.catalog import NODE


class GatewayRole:
    """`run` is its whole life."""

    def __init__(self, settings: Settings, *, with_controller: bool) -> None:
        self._settings = settings
        self._with_controller = with_controller

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event, *, wait: bool) -> None:
        """Raises StoreFailed, StoppedBefore, Refused."""
        async with open_gateway_stores(self._settings, stop, wait=wait) as opened:
            gateway = make_gateway(self._settings, opened.stores)
            try:
                await self._run(opened, gateway, stop, hurry)
            except ExceptionGroup as group:
                raise reason(self._settings, group, "aether gateway") from group

    async def _run(
        self, opened: Opened[Stores], gateway: Gateway, stop: asyncio.Event, hurry: asyncio.Event
    ) -> None:
        stores = opened.stores
        around = Around(
            runtimes=[NODE],
            look_at_stores=lambda: look_at(opened.probes),
        )
        api = make_api(self._settings, stores, gateway, around)
        async with asyncio.TaskGroup() as group:
            scaling = self._scaling(stores, gateway, group) if self._with_controller else None
            await gateway.run(api, stop, self._ready, hurry)
            if scaling is not None:
                scaling.cancel()

    def _scaling(self, stores: Stores, gateway: Gateway, group: asyncio.TaskGroup) -> asyncio.Task[None]:
        controller = Controller(gateway.routes, gateway.activator, stores.registry, stores.clock)
        gateway.activator.room_can_be_made = controller.room_can_be_made
        return group.create_task(controller.run(), name="controller")

    def _ready(self, address: tuple[str, int]) -> None:
        settle()
        announce(self._settings, "Aether's gateway", address)
