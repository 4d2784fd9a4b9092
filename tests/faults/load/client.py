"""Load on one function: at a rate whatever is answered, from a number of callers, or all at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.faults.load.connection import Connection, Seen
from tests.faults.load.judge import GRACE_S, Judged, judge
from tests.faults.load.ledger import Ledger
from tests.faults.load.request import requests

CONNECT_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    host: str
    port: int
    prefix: str
    """What stands before the function's own path: `/functions/{name}`."""
    deadline_s: float
    """The function's `timeout_s`."""


class Client:
    """Keeps connections. `phase` names what requests that are sent now count for."""

    def __init__(
        self,
        target: Target,
        ledger: Ledger,
        name: str,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.target = target
        self.phase = "before"
        self.in_flight = 0
        self.on_judged: Callable[[Judged], None] = lambda _judged: None
        self._ledger = ledger
        self._requests = requests(name, headers)
        self._idle: list[Connection] = []

    async def once(self, due_s: float | None = None) -> Judged:
        """One request, on an idle connection if there is one."""
        request, phase = next(self._requests), self.phase
        seen = Seen(due_s=time.monotonic() if due_s is None else due_s)
        self.in_flight += 1
        try:
            connection = await self._connection(seen)
            if connection is not None:
                within_s = self.target.deadline_s + 2 * GRACE_S
                await connection.exchange(request, self.target.prefix, seen, within_s)
                self._give_back(connection)
        finally:
            self.in_flight -= 1
        judged = judge(request, seen, self.target.deadline_s, phase)
        self._ledger.add(judged)
        self.on_judged(judged)
        return judged

    async def burst(self, count: int) -> list[Judged]:
        """So many at once, each on a connection of its own."""
        return list(await asyncio.gather(*(self.once() for _ in range(count))))

    async def open_loop(self, rate: float, seconds: float) -> None:
        """`rate` requests a second, sent when they are due; until the last is judged."""
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                due_s = began_s + number / rate
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                group.create_task(self.once(due_s))

    async def closed_loop(self, callers: int, seconds: float) -> None:
        """Each caller sends its next request when it has its answer."""
        until_s = time.monotonic() + seconds

        async def call() -> None:
            while time.monotonic() < until_s:
                await self.once()

        await asyncio.gather(*(call() for _ in range(callers)))

    @asynccontextmanager
    async def running(self, rate: float) -> AsyncIterator[None]:
        """An open loop for as long as the block runs; until its last request is judged."""
        stop = asyncio.Event()

        async def load() -> None:
            async with asyncio.TaskGroup() as group:
                due_s = time.monotonic()
                while not stop.is_set():
                    group.create_task(self.once(due_s))
                    due_s += 1 / rate
                    await asyncio.sleep(max(0.0, due_s - time.monotonic()))

        async with asyncio.TaskGroup() as group:
            group.create_task(load())
            try:
                yield
            finally:
                stop.set()

    def close(self) -> None:
        """Drop the connections; what came on them unasked is wrong."""
        for connection in self._idle:
            self._look_at(connection)
            connection.abort()
        self._idle.clear()

    async def _connection(self, seen: Seen) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            self._look_at(connection)
            if connection.usable:
                return connection
            connection.abort()
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                return await Connection.open(self.target.host, self.target.port)
        except (OSError, TimeoutError) as error:
            seen.sent_s = seen.ended_s = time.monotonic()
            seen.refused, seen.fault = True, f"no connection ({type(error).__name__})"
            return None

    def _look_at(self, connection: Connection) -> None:
        if connection.unasked:
            self._ledger.wrong(f"bytes that nobody asked for: {connection.unasked[:60]!r}")

    def _give_back(self, connection: Connection) -> None:
        if connection.usable:
            self._idle.append(connection)
        else:
            connection.abort()
