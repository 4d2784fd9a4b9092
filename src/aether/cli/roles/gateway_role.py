"""A gateway as a process: its stores, and with them its life."""

from __future__ import annotations

import asyncio

from aether.cli.announcing import announce, reason
from aether.cli.collection import settle
from aether.cli.data_dir import socket_directory
from aether.cli.processes import tell_ready
from aether.cli.roles.gateway import Around, folders_of, make_api, make_gateway
from aether.cli.roles.runtimes import SeenRuntimes
from aether.cli.roles.scaling import look_out, scale_with
from aether.cli.settings import Settings
from aether.cli.stores.health import look_at
from aether.cli.stores.of_gateway import open_gateway_stores
from aether.cli.stores.opened import Stores
from aether.cli.stores.shared import Opened
from aether.controller.candidate import Candidate
from aether.gateway.gateway import Gateway
from aether.gateway.metrics_of_all import MetricsOfAll
from aether.http import Seat


class GatewayRole:
    """`run` is its whole life."""

    def __init__(self, settings: Settings, *, with_controller: bool, seat: Seat | None = None) -> None:
        """`with_controller`: it may be elected to scale as well. `seat`: it is one of several processes."""
        self._settings = settings
        self._seat = seat
        self._with_controller = with_controller

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event, *, wait: bool) -> None:
        """Raises StoreFailed, StoppedBefore, Refused."""
        async with open_gateway_stores(self._settings, stop, wait=wait) as opened:
            # Beside those of a worker, which may have the same directory.
            folders = folders_of(self._settings, self._seat)
            with socket_directory(folders[0]):
                gateway = make_gateway(self._settings, opened.stores, folders[0], seat=self._seat)
                try:
                    await self._run(opened, gateway, stop, hurry)
                except ExceptionGroup as group:
                    raise reason(self._settings, group, "aether gateway") from group

    async def _run(
        self, opened: Opened[Stores], gateway: Gateway, stop: asyncio.Event, hurry: asyncio.Event
    ) -> None:
        stores = opened.stores
        folders = folders_of(self._settings, self._seat)
        around = Around(
            together=MetricsOfAll(gateway.metrics.registry, folders) if self._seat else None,
            work=None if self._seat is None else str(self._seat.index),
            runtimes=SeenRuntimes(gateway.routes.workers),
            look_at_stores=lambda: look_at(opened.probes),
        )
        scaling = None
        if self._with_controller:
            scaling = scale_with(gateway, opened.election, registry=stores.registry, clock=stores.clock)
        look_out(gateway, stores.clock, scaling)
        async with asyncio.TaskGroup() as group:
            candidate = scaling and group.create_task(_scale(gateway, scaling.candidate), name="candidate")
            await gateway.run(make_api(self._settings, stores, gateway, around), stop, self._ready, hurry)
            if candidate:
                candidate.cancel()

    def _ready(self, address: tuple[str, int]) -> None:
        settle()
        if self._seat is not None:
            tell_ready()
            return
        announce(self._settings, "Aether's gateway", address)


async def _scale(gateway: Gateway, candidate: Candidate) -> None:
    """Not before it knows the cluster: who leads and knows nothing keeps others from scaling."""
    await gateway.routes.loaded.wait()
    await candidate.run()
