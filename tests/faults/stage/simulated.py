"""The platform over simulated instances: what `aether up` is, but for the VMM, the clock and the memory.

    python -m tests.faults.stage.simulated --data-dir DIR --control SOCKET --journal FILE

Functions behave as their environment variable `BEHAVE` says: `Behaviour`'s fields as JSON. On the control
socket, a line of JSON each way: `clock_ahead_s` moves the wall clock, `memory` is what the host is to have
(bytes in all, bytes free); the answer tells of tasks. What functions receive goes to the journal, a line
each. It exits with 3 when it leaves tasks behind, or when something was raised that nobody caught.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop

from aether.cli.data_dir import locked, socket_directory
from aether.cli.embedded import Embedded, open_stores
from aether.cli.logging import configure_logging
from aether.cli.settings import Settings, load_settings
from aether.domain.deadline import Deadline
from aether.ports.vmm import LogLine, Machine, MachineSpec, OnLog, Runtime
from aether.vmm.simulated import Behaviour, SimulatedVmm
from aether.worker.capacity import Capacity

NODE = Runtime("node", Path("/none"), ("node",), "handler.js", answers_probes=True)
LEFT_SOMETHING = 3
PLENTY = (256 << 30, 256 << 30)


class JumpingClock:
    """Implements `aether.ports.clock.Clock`: a wall clock that can be set, and time that just passes."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead_s)


class JournalVmm(SimulatedVmm):
    """Writes down the path of each request that a function got: its token is in it."""

    def __init__(self, journal: Path, **more: Any) -> None:
        super().__init__(lambda spec: Behaviour(**json.loads(spec.env.get("BEHAVE", "{}"))), **more)
        self._journal = journal.open("a", buffering=1)

    async def boot(self, spec: MachineSpec, deadline: Deadline, on_log: OnLog) -> Machine:
        return await super().boot(spec, deadline, self._noting(on_log))

    async def close(self) -> None:
        await super().close()
        self._journal.close()

    def _noting(self, on_log: OnLog) -> OnLog:
        def note(line: LogLine) -> None:
            method, _, path = line.text.partition(" ")
            if method in {"GET", "POST"}:
                self._journal.write(path + "\n")
            on_log(line)

        return note


class Control:
    """The other end of `Platform.control`."""

    def __init__(self) -> None:
        self.clock = JumpingClock()
        self.memory = PLENTY

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                command = json.loads(line)
                self.clock.ahead_s = command.get("clock_ahead_s", self.clock.ahead_s)
                self.memory = tuple(command.get("memory", self.memory))
                answer: dict[str, Any] = {"tasks": len(asyncio.all_tasks())}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()


async def run(settings: Settings, control_path: str, journal: Path) -> int:
    loop, stop, control = asyncio.get_running_loop(), asyncio.Event(), Control()
    raised: list[object] = []
    loop.set_exception_handler(lambda _loop, context: raised.append(context))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await asyncio.start_unix_server(control.serve, control_path)
    async with open_stores(settings, control.clock) as stores:
        capacity = Capacity(lambda: control.memory)
        platform = Embedded(settings, stores, JournalVmm(journal), {"node": NODE}, capacity)
        await platform.run(stop, _announce)
    server.close()
    left = await _tasks_left()
    for what in (*left, *raised):
        print(f"LEFT: {what}", file=sys.stderr, flush=True)
    return LEFT_SOMETHING if left or raised else 0


async def _tasks_left() -> list[asyncio.Task[Any]]:
    """But for this one and the control connections, after a moment to end by themselves."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while _tasks():
                await asyncio.sleep(0.02)
    return _tasks()


def _tasks() -> list[asyncio.Task[Any]]:
    return [
        task
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task() and "Control.serve" not in repr(task.get_coro())
    ]


def _announce(address: tuple[str, int]) -> None:
    print(f"Aether is up at http://{address[0]}:{address[1]} (simulated)", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control", required=True)
    parser.add_argument("--journal", type=Path, required=True)
    given = parser.parse_args()
    settings = load_settings(data_dir=given.data_dir, port=given.port)
    configure_logging(settings.log_level)
    with locked(settings.data_dir), socket_directory(settings.sockets):
        return uvloop.run(run(settings, given.control, given.journal))


if __name__ == "__main__":
    sys.exit(main())
