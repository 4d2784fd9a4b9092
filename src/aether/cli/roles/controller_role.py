"""A controller as a process of its own."""

from __future__ import annotations

import asyncio

from aether.cli.collection import settle
from aether.cli.output import say
from aether.cli.roles.scaling import LoneController
from aether.cli.settings import Settings
from aether.cli.stores.shared import open_controller_stores


async def run_controller(settings: Settings, stop: asyncio.Event, *, wait: bool) -> None:
    """Raises StoreFailed, StoppedBefore."""
    async with open_controller_stores(settings, stop, wait=wait) as opened:
        stores = opened.stores
        controller = LoneController(
            registry=stores.registry, jobs=stores.jobs, election=opened.election, clock=stores.clock
        )

        def ready() -> None:
            settle()
            say(f"Aether's controller {controller.id} is up: it scales when it is elected.")

        await controller.run(stop, ready)
