"""QEMU's own control protocol (QMP), one short session per operation.

Nothing is held open between operations, so a later process can have the monitor at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from qemu.qmp import EventListener, QMPClient, QMPError

from aether.domain.errors import AetherError
from aether.vmm.qemu import sockets

GONE = (QMPError, OSError, EOFError)
"""What the client raises when QEMU refuses, or is no more."""


class _Client(QMPClient):
    # A QEMU that ends within a session is no bug of the library, whatever it logs then. What
    # happened is in the error that is raised. An unregistered logger is nobody's to configure.
    logger = logging.Logger(__name__, logging.CRITICAL + 1)  # noqa: LOG001 - see above


class MonitorError(AetherError):
    """QEMU refused an operation or went away within it."""


class Monitor:
    """A session. Every method raises MonitorError."""

    def __init__(self, client: _Client, connected: socket.socket, events: EventListener) -> None:
        self._client = client
        self._socket = connected
        self._events = events

    async def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:
        """The `return` of QEMU's answer."""
        try:
            return await self._client.execute(command, arguments)
        except GONE as error:
            raise MonitorError(f"QEMU's {command}: {error}", component="worker") from error

    async def give_descriptor(self, descriptor: int, name: str) -> None:
        """QEMU then knows it as `fd:name`; ours stays open."""
        # The client has nothing unsent between two commands, so the byte that carries the
        # descriptor cannot land within one.
        socket.send_fds(self._socket, [b" "], [descriptor])
        await self.execute("getfd", {"fdname": name})

    async def migration(self, command: str, uri: str) -> None:
        """Start a migration out or in (`migrate`, `migrate-incoming`), leaving out the shared memory."""
        capabilities = [
            {"capability": "x-ignore-shared", "state": True},
            {"capability": "events", "state": True},
        ]
        await self.execute("migrate-set-capabilities", {"capabilities": capabilities})
        await self.execute(command, {"uri": uri})

    async def migrated(self) -> None:
        """Wait for the end of a migration."""
        while True:
            event = await self._events.get()
            status = event["data"]["status"] if event["event"] == "MIGRATION" else ""  # type: ignore[index]
            if status == "completed":
                return
            if status in ("failed", "cancelled"):
                raise MonitorError(f"the migration {status}", component="worker")

    async def resumed(self) -> None:
        """Wait until the virtual CPUs run."""
        while (await self._events.get())["event"] != "RESUME":
            pass


@contextlib.asynccontextmanager
async def monitor_session(directory: Path) -> AsyncIterator[Monitor]:
    """Connect to the machine of a run directory. Raises MonitorError."""
    client = _Client()
    events = EventListener(names=("MIGRATION", "RESUME"))
    client.register_listener(events)
    try:
        connected = sockets.connect(directory, sockets.MONITOR)
        await client.connect(connected)
    except GONE as error:
        raise MonitorError(f"QEMU's monitor: {error}", component="worker") from error
    try:
        yield Monitor(client, connected, events)
    finally:
        with contextlib.suppress(*GONE, asyncio.IncompleteReadError):
            await client.disconnect()
