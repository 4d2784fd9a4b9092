"""The function logs port on Redis: any gateway shows what functions print on all workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import structlog

from aether.adapters.redis import log_form
from aether.adapters.redis.clients import RedisClients, answering
from aether.adapters.redis.log_writer import LogBounds, LogWriter
from aether.adapters.redis.names import printed_by
from aether.adapters.redis.reading import Reading
from aether.adapters.redis.scripted import Scripts
from aether.adapters.redis.stream_reading import StreamReading
from aether.domain.errors import StoreUnavailable
from aether.ports.feed import Feed
from aether.ports.function_logs import LogRecord

log = structlog.get_logger()

WRITTEN_WITHIN_S = 1.0
"""How long who reads waits for what this process still has to write."""
PAGE = 500
DEFAULT_BOUNDS = LogBounds()


class RedisFunctionLogs:
    """Implements `aether.ports.function_logs.FunctionLogs`. What it opened ends with `aclose`.

    A stream for each function. Bounds are met by about a tenth, as Redis tells what a stream takes. Over
    `total_bytes`, the older half goes of what the function that printed longest ago has.
    """

    def __init__(
        self, clients: RedisClients, bounds: LogBounds = DEFAULT_BOUNDS, *, follow_buffer: int = 1_000
    ) -> None:
        """`follow_buffer`: unread lines of one follower, which loses the oldest."""
        self._clients = clients
        self._scripts = Scripts(clients)
        self._follow_buffer = follow_buffer
        self._writer = LogWriter(clients, bounds)
        self._followers: dict[Reading[LogRecord], str] = {}
        """And the functions that they follow."""

    @property
    def dropped(self) -> int:
        """Lines too long to keep, or lost because Redis was away or slow."""
        return self._writer.dropped

    def append(self, record: LogRecord) -> None:
        self._writer.add(record)

    async def tail(
        self, function_id: str, limit: int, since: datetime | None = None, call_id: str | None = None
    ) -> list[LogRecord]:
        """Raises StoreUnavailable.

        Who began to follow before has every line from the end of this on, whichever process wrote it.
        """
        await self._written()
        for follower in [one for one, followed in self._followers.items() if followed == function_id]:
            await follower.until_open()
        found: list[LogRecord] = []
        before = "+"
        while len(found) < limit:
            page = await self._page(function_id, before)
            for _, fields in page:
                record = _loaded(function_id, fields)
                if record is None or (since is not None and record.at < since):
                    continue
                if call_id is None or record.call_id == call_id:
                    found.append(record)
            if len(page) < PAGE:
                break
            before = f"({page[-1][0].decode()}"
        return found[:limit][::-1]

    def follow(self, function_id: str) -> Feed[LogRecord]:
        follower = _Follower(self._clients, self._writer, function_id, self._follow_buffer, self._closed)
        self._followers[follower] = function_id
        return follower

    async def remove(self, function_id: str) -> None:
        """When Redis is away, its lines stay until others need the room."""
        self._writer.forget(function_id)
        await self._written()
        try:
            await self._scripts.run("unlog", [], [function_id])
        except StoreUnavailable as error:
            log.warning("lines of a removed function not removed", function=function_id, reason=error.message)

    async def aclose(self) -> None:
        for follower in list(self._followers):
            await follower.aclose()
        await self._writer.aclose()

    async def _written(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITTEN_WITHIN_S):
                await self._writer.settled(self._writer.given)

    async def _page(self, function_id: str, before: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        async with answering("give lines"):
            page: Any = await self._clients.commands.xrevrange(
                printed_by(function_id), max=before, count=PAGE
            )
        return list(page)

    def _closed(self, follower: Reading[LogRecord]) -> None:
        self._followers.pop(follower, None)


class _Follower(StreamReading[LogRecord]):
    def __init__(
        self,
        clients: RedisClients,
        writer: LogWriter,
        function_id: str,
        buffer: int,
        on_close: Callable[[Reading[LogRecord]], None],
    ) -> None:
        self.after = writer.given
        self._writer = writer
        self._function_id = function_id
        writer.wait_for(self)
        super().__init__(clients, printed_by(function_id), buffer, on_close)

    async def aclose(self) -> None:
        self._writer.wait_no_more_for(self)
        await super().aclose()

    async def before(self) -> None:
        """What was printed before the call is not for it."""
        await self._writer.settled(self.after)

    def load(self, fields: dict[bytes, bytes]) -> LogRecord:
        return log_form.load(self._function_id, fields)


def _loaded(function_id: str, fields: dict[bytes, bytes]) -> LogRecord | None:
    """None for what is no line of ours."""
    try:
        return log_form.load(function_id, fields)
    except (KeyError, ValueError):
        return None
