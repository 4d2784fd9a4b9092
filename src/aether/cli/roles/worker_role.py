"""A worker as a process: its stores, its machines, and with them its life."""

from __future__ import annotations

import asyncio
import errno
import sys

from aether.cli.collection import settle
from aether.cli.data_dir import socket_directory
from aether.cli.failures import Refused
from aether.cli.output import say
from aether.cli.roles.machines import Machines
from aether.cli.roles.worker import make_capacity, make_host
from aether.cli.settings import Settings
from aether.cli.stores.opened import WorkerStores
from aether.cli.stores.shared import open_worker_stores
from aether.worker import role
from aether.worker.home import Home, open_home


class WorkerRole:
    """`run` is its whole life."""

    def __init__(self, settings: Settings, machines: Machines) -> None:
        self._settings = settings
        self._machines = machines

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event, *, wait: bool) -> None:
        """Machines outlive it, unless it drains. Raises StoreFailed, StoppedBefore, NotAlone, Refused."""
        with (
            open_home(self._settings.data_dir, self._settings.worker_id) as home,
            socket_directory(self._settings.sockets),
        ):
            async with open_worker_stores(self._settings, stop, wait=wait) as opened:
                await self._machines.ready()
                try:
                    ended = await self._serve(home, opened.stores, stop, hurry)
                finally:
                    await self._machines.vmm.close()
        if ended is role.Ended.DRAINED:
            say("Drained: nothing is left here.")

    async def _serve(
        self, home: Home, stores: WorkerStores, stop: asyncio.Event, hurry: asyncio.Event
    ) -> role.Ended:
        settings, vmm = self._settings, self._machines.vmm
        try:
            return await role.run(
                home,
                lambda lease: make_host(
                    settings, stores, vmm=vmm, runtimes=self._machines.runtimes, lease=lease
                ),
                registry=stores.registry,
                jobs=stores.jobs,
                capacity=make_capacity(settings, vmm),
                address=(str(settings.worker_ip), settings.worker_port),
                drain_timeout_s=settings.drain_timeout_s,
                stop=stop,
                hurry=hurry,
                on_ready=lambda address: self._ready(home, address),
            )
        except OSError as error:
            raise _reason(settings, error) from error

    def _ready(self, home: Home, address: tuple[str, int]) -> None:
        settle()
        vmm = self._machines.vmm
        host, port = address
        say(f"Aether's worker {home.worker_id} is up at {host}:{port} (microVMs by {vmm.name}, {vmm.accel}).")
        sys.stderr.flush()


def _reason(settings: Settings, error: OSError) -> Exception:
    at = f"{settings.worker_ip}:{settings.worker_port}"
    names = f"{settings.told_name('worker_ip')} and {settings.told_name('worker_port')}"
    if error.errno == errno.EADDRINUSE:
        name = settings.told_name("worker_port")
        return Refused(f"{at} is in use.", hint=f"Stop what listens there, or take another port by {name}.")
    if error.errno in {errno.EADDRNOTAVAIL, errno.EACCES}:
        return Refused(f"Can't listen on {at}: {error.strerror}.", hint=f"Look at {names}.")
    return error
