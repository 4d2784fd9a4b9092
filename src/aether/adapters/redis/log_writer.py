"""Lines on their way to Redis: gathered without ever waiting, written in batches by a task of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from aether.adapters.redis.clients import RedisClients, answering
from aether.adapters.redis.log_form import arguments
from aether.adapters.redis.names import printed_by
from aether.adapters.redis.pipe import Argument
from aether.adapters.redis.scripted import Scripts
from aether.domain.errors import StoreUnavailable
from aether.ports.function_logs import LogRecord

log = structlog.get_logger()

PAUSE_S = 0.1
"""Between batches, so that a function that prints all the time makes ten a second."""
RETRY_S = 0.5
CLOSE_WITHIN_S = 1.0
AT_ONCE = 1_000
LINE_BYTES = 200
"""What a line takes beside its text, about."""


@dataclass(frozen=True, slots=True)
class LogBounds:
    """What is kept: of each function, and of all together."""

    max_lines: int = 2_000
    max_bytes: int = 1 << 20
    total_bytes: int = 64 << 20
    waiting_bytes: int = 8 << 20
    """Of lines that are not written yet: more than that, and the oldest are lost."""


class Listener(Protocol):
    """Who follows: it is to hear of the lines after that one, and listens before they are written."""

    @property
    def after(self) -> int: ...

    async def until_open(self) -> None:
        """For a moment at most."""
        ...


class LogWriter:
    """Lines have numbers, in the order they came. What fails to be written is lost, and counted."""

    def __init__(self, clients: RedisClients, bounds: LogBounds) -> None:
        self._clients = clients
        self._scripts = Scripts(clients)
        self._bounds = bounds
        self._waiting: deque[tuple[int, LogRecord]] = deque()
        self._waiting_bytes = 0
        self.dropped = 0
        self.given = 0
        """The number of the newest line."""
        self._settled = 0
        """Lines up to that one are written, or lost."""
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._progress = asyncio.Condition()
        self._holding: set[Listener] = set()
        """Who may not listen yet."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="function log writer")

    def add(self, record: LogRecord) -> None:
        cost = _cost(record)
        if cost > self._bounds.max_bytes:
            self.dropped += 1
            return
        self.given += 1
        self._waiting.append((self.given, record))
        self._waiting_bytes += cost
        while self._waiting_bytes > self._bounds.waiting_bytes:
            self._take()
            self.dropped += 1
        self._news.set()

    def wait_for(self, listener: Listener) -> None:
        """Before lines after its own."""
        self._holding.add(listener)

    def wait_no_more_for(self, listener: Listener) -> None:
        self._holding.discard(listener)

    def forget(self, function_id: str) -> None:
        """Lines of it that wait."""
        kept = [(number, record) for number, record in self._waiting if record.function_id != function_id]
        self._waiting = deque(kept)
        self._waiting_bytes = sum(_cost(record) for _, record in kept)

    async def settled(self, number: int) -> None:
        """Wait until a line is written, or lost."""
        self._hurry.set()
        self._news.set()
        async with self._progress:
            await self._progress.wait_for(lambda: self._settled >= number)

    async def aclose(self) -> None:
        """Write what waits, if that goes at once."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                while self._waiting:
                    await self._write_some()

    async def _run(self) -> None:
        away = False
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                while self._waiting:
                    await self._write_some()
                await self._settle(self.given)
                away = False
            except StoreUnavailable as error:
                if not away:
                    log.warning(
                        "Redis away, lines that functions print wait, or are lost", reason=error.message
                    )
                away = True
                self._news.set()
            except Exception:
                log.exception("writing lines of functions failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S if away else PAUSE_S):
                    await self._hurry.wait()
            self._hurry.clear()

    async def _write_some(self) -> None:
        """Raises StoreUnavailable; lines that were being written are lost then: some may have been."""
        async with answering("answer"):
            # None are lost on a Redis that is known to be away.
            await self._clients.commands.ping()
        await self._until_heard()
        hold = min((listener.after for listener in self._holding), default=self.given)
        batch: dict[str, list[LogRecord]] = {}
        number, count = self._settled, 0
        while self._waiting and self._waiting[0][0] <= hold and count < AT_ONCE:
            number, record = self._take()
            batch.setdefault(record.function_id, []).append(record)
            count += 1
        try:
            await self._write(batch)
        except StoreUnavailable:
            self.dropped += count
            raise
        finally:
            await self._settle(number)

    async def _until_heard(self) -> None:
        """Who began to follow before the line that is next hears of it."""
        if not self._waiting:
            return
        following = self._waiting[0][0]
        for listener in [one for one in self._holding if one.after < following]:
            await listener.until_open()
            self._holding.discard(listener)

    async def _write(self, batch: dict[str, list[LogRecord]]) -> None:
        bounds = self._bounds
        writes = []
        for function_id, records in batch.items():
            head: list[Argument] = [function_id, bounds.max_lines, bounds.max_bytes, bounds.total_bytes]
            writes.append(self._scripts.run("log", [printed_by(function_id)], [*head, *_lines(records)]))
        await asyncio.gather(*writes)

    async def _settle(self, number: int) -> None:
        async with self._progress:
            self._settled = max(self._settled, number)
            self._progress.notify_all()

    def _take(self) -> tuple[int, LogRecord]:
        number, record = self._waiting.popleft()
        self._waiting_bytes -= _cost(record)
        return number, record


def _cost(record: LogRecord) -> int:
    return LINE_BYTES + 4 * len(record.text)


def _lines(records: Iterable[LogRecord]) -> list[bytes | int]:
    return [argument for record in records for argument in arguments(record)]
