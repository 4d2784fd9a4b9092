"""`aether up`: the platform on this machine, in one process."""

from __future__ import annotations

import asyncio

import uvloop

from aether.cli.announcing import announce, reason
from aether.cli.collection import settle
from aether.cli.data_dir import locked, socket_directory
from aether.cli.embedded import Embedded, open_stores
from aether.cli.failures import ExitCode
from aether.cli.logging import configure_logging
from aether.cli.output import say
from aether.cli.roles.machines import Machines, load_machines
from aether.cli.settings import Settings
from aether.cli.stopping import clean_start, stop_on_signals
from aether.cli.up_options import NOTHING_GIVEN, UpOptions


def up(*, options: UpOptions = NOTHING_GIVEN) -> int:
    """Start the platform on this machine: gateway, worker and stores in one process.

    It runs until Ctrl-C or SIGTERM, which let running requests end first; a second one doesn't wait.
    Functions are kept in the data directory, and are there again after the next start.

    **Examples**

    ```
    aether up
    aether up --port 9000 --data-dir ./state
    ```
    """
    settings = options.settings()
    configure_logging(settings.log_level)
    with clean_start(), locked(settings.data_dir), socket_directory(settings.sockets):
        return uvloop.run(_run(settings, load_machines(settings, embedded=True)))


async def _run(settings: Settings, machines: Machines) -> int:
    stop, hurry = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop, hurry)
    await machines.ready()
    vmm = machines.vmm

    def ready(address: tuple[str, int]) -> None:
        settle()
        announce(settings, "Aether", address, f"microVMs by {vmm.name}, {vmm.accel}")

    async with open_stores(settings) as stores:
        platform = Embedded(settings, stores, vmm, machines.runtimes)
        try:
            await platform.run(stop, ready, hurry)
        except ExceptionGroup as group:
            raise reason(settings, group, "aether up") from group
    say("Stopped.")
    return ExitCode.INTERRUPTED if hurry.is_set() else ExitCode.OK
