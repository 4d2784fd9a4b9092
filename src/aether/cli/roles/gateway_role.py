"""A gateway as a process: its stores, and with them its life."""

from __future__ import annotations

import asyncio

from aether.cli.announcing import announce, reason
from aether.cli.collection import settle
from aether.cli.data_dir import socket_directory
from aether.cli.roles.gateway import Around, make_api, make_gateway
from aether.cli.roles.runtimes import SeenRuntimes
from aether.cli.roles.scaling import look_out, scale_with
from aether.cli.settings import Settings
from aether.cli.stores.health import look_at
from aether.cli.stores.opened import Stores
from aether.cli.stores.shared import Opened, open_gateway_stores
from aether.gateway.gateway import Gateway


class GatewayRole:
    """`run` is its whole life."""

    def __init__(self, settings: Settings, *, with_controller: bool) -> None:
        """`with_controller`: it may be elected to scale as well."""
        self._settings = settings
        self._with_controller = with_controller

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event, *, wait: bool) -> None:
        """Raises StoreFailed, StoppedBefore, Refused."""
        async with open_gateway_stores(self._settings, stop, wait=wait) as opened:
            # Beside those of a worker, which may have the same directory.
            with socket_directory(self._settings.sockets / "gateway") as sockets:
                gateway = make_gateway(self._settings, opened.stores, sockets)
                try:
                    await self._run(opened, gateway, stop, hurry)
                except ExceptionGroup as group:
                    raise reason(self._settings, group, "aether gateway") from group

    async def _run(
        self, opened: Opened[Stores], gateway: Gateway, stop: asyncio.Event, hurry: asyncio.Event
    ) -> None:
        stores = opened.stores
        around = Around(
            runtimes=SeenRuntimes(gateway.routes.workers),
            look_at_stores=lambda: look_at(opened.probes),
        )
        scaling = None
        if self._with_controller:
            scaling = scale_with(gateway, opened.election, registry=stores.registry, clock=stores.clock)
        look_out(gateway, stores.clock, scaling)
        async with asyncio.TaskGroup() as group:
            candidate = scaling and group.create_task(scaling.candidate.run(), name="candidate")
            await gateway.run(make_api(self._settings, stores, gateway, around), stop, self._ready, hurry)
            if candidate:
                candidate.cancel()

    def _ready(self, address: tuple[str, int]) -> None:
        settle()
        announce(self._settings, "Aether's gateway", address)
