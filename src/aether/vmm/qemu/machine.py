"""One QEMU machine: its process, its control channel, its console, and its end.

Driven by callbacks of the event loop; it has no task of its own. The end is told when the process
is reaped and both sockets are read to their ends, so the guest's last words count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from aether.ports.vmm import End, EndReason, LogLine, MachineSpec, MachineState, OnLog
from aether.vmm.cgroups import Group
from aether.vmm.connection import Connection
from aether.vmm.console import Console
from aether.vmm.control import ControlChannel
from aether.vmm.end_latch import EndLatch
from aether.vmm.frames import ControlError, Frame
from aether.vmm.messages import Ended, Hello, IdentityTaken, Message, Pong, Ready, Status, ping
from aether.vmm.qemu import sockets
from aether.vmm.qemu.command import GUEST_IP
from aether.vmm.qemu.process import Process, own_memory
from aether.vmm.qemu.unexplained import unexplained

Sign = Hello | Ready | IdentityTaken | Status | Pong
"""Messages that a start waits for."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a machine takes on the host: its run directory, its port on 127.0.0.1, its user, its group."""

    directory: Path
    port: int
    uid: int | None
    group: Group | None = None
    """None where the host gives no control groups."""


class QemuMachine:
    """Implements `aether.ports.vmm.Machine`. `on_end` is called once, when all of it is gone."""

    def __init__(
        self,
        spec: MachineSpec,
        place: Place,
        *,
        console: Console,
        on_log: OnLog,
        on_end: Callable[[QemuMachine], None],
        prepared: bool = False,
    ) -> None:
        self.spec = spec
        self.place = place
        self.address = ("127.0.0.1", place.port)
        self.internal_ip = GUEST_IP
        self.prepared = prepared
        self.ready = False
        self.state = MachineState.RUNNING
        self.phases: Mapping[str, float] = {}
        self.console = console
        self.lock = asyncio.Lock()
        """Of operations that change the state."""
        self._on_log = on_log
        self._on_end = on_end
        self._latch = EndLatch()
        self._stopping: str | None = None
        self._told: End | None = None
        self._process: Process | None = None
        self._control: ControlChannel | None = None
        self._serial: Connection | None = None
        self._signs = {sign: asyncio.Event() for sign in get_args(Sign)}
        self._open: set[str] = set()

    async def connect(self) -> None:
        """To the control channel and the console, which may listen before QEMU does. Raises OSError."""
        self._serial = await Connection.over(
            sockets.connect(self.place.directory, sockets.CONSOLE),
            self.console.write,
            lambda: self._closed("serial"),
        )
        self._open.add("serial")
        self._control = await ControlChannel.over(
            sockets.connect(self.place.directory, sockets.CONTROL),
            self._on_message,
            self._on_failure,
            lambda: self._closed("control"),
        )
        self._open.add("control")

    def attach(self, start: Callable[[Callable[[], None]], Process]) -> None:
        """Take the process that `start` makes, giving it whom to tell of its exit."""
        self._process = start(lambda: self._closed("process"))
        self._open.add("process")

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    @property
    def end(self) -> End | None:
        return self._latch.value

    def resident_bytes(self) -> int:
        return 0 if self._process is None else own_memory(self._process.pid)

    async def ended(self) -> End:
        return await self._latch.wait()

    async def sign(self, kind: type[Sign]) -> bool:
        """Wait for a message of the guest; False when the machine ended without it."""
        await self._signs[kind].wait()
        return self._latch.value is None

    def ping(self) -> None:
        """Ask for a new `Pong`."""
        if self._latch.value is None:
            self._signs[Pong].clear()
            self.send(ping(b""))

    def send(self, frame: Frame) -> None:
        if self._control is not None:
            self._control.send(frame)

    def stopping(self, reason: str = "") -> None:
        """From here on, its end counts as asked for."""
        if self._stopping is None:
            self._stopping = reason

    def kill(self, reason: str = "") -> None:
        """End it at once, on purpose; `ended` tells when it has."""
        self.stopping(reason)
        self.process.kill()

    async def unless_ended(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` to its end, or until the machine ends, which cancels it."""
        async with asyncio.TaskGroup() as group:
            end, outcome = group.create_task(self._latch.wait()), group.create_task(_catching(work))
            await asyncio.wait((end, outcome), return_when=asyncio.FIRST_COMPLETED)
            end.cancel()
            outcome.cancel()
        if not outcome.cancelled() and (error := outcome.result()) is not None:
            raise error

    async def disconnect(self) -> None:
        """Let go of a machine that runs on."""
        self.process.release()
        await self._close_connections()

    async def abandon(self) -> None:
        """End a machine of which not all has come to be."""
        if self._process is not None:
            self.kill("start failed")
            await self.ended()
        await self._close_connections()

    async def _close_connections(self) -> None:
        for connection in (self._control, self._serial):
            if connection is not None:
                await connection.close()

    def _on_message(self, message: Message) -> None:
        if isinstance(message, LogLine):
            self.console.write_line(message.stream, message.text)
            self._on_log(message)
        elif isinstance(message, Ended):
            self._told = message.end
            # The guest would reboot by itself; nothing in it is worth the wait.
            self.process.kill()
        else:
            self._signs[type(message)].set()

    def _on_failure(self, error: ControlError) -> None:
        self._told = End(EndReason.KILLED, f"the guest broke the control protocol: {error}")
        self.process.kill()

    def _closed(self, part: str) -> None:
        self._open.discard(part)
        if self._open or self._process is None or self._latch.value is not None:
            return
        self.state = MachineState.ENDED
        why = self._why()  # while its group is there to tell
        self._on_end(self)
        self._latch.set(why)
        for sign in self._signs.values():
            sign.set()

    def _why(self) -> End:
        if self._stopping is not None:
            return End(EndReason.STOPPED, self._stopping)
        if self._told is not None:
            return self._told
        return unexplained(self.process, self.console, self.place.group)


async def _catching(work: Coroutine[Any, Any, None]) -> Exception | None:
    """An error as a result, so that a task group does not wrap it."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - raised again by whoever reads the result
        return error
    return None
