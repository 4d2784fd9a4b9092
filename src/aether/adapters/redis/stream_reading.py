"""A feed of what is added to a stream, so that a cut connection loses nothing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import structlog

from aether.adapters.redis.clients import ANSWER_WITHIN_S, WAIT_S, RedisClients, answering
from aether.adapters.redis.reading import Reading

T = TypeVar("T")

log = structlog.get_logger()

START = b"0-0"
AT_ONCE = 1000


class StreamReading(Reading[T]):
    """Begins at the stream's end, and goes on where it was after a cut."""

    def __init__(
        self, clients: RedisClients, key: str, buffer: int, on_close: Callable[[Reading[T]], None]
    ) -> None:
        self._clients = clients
        self._key = key
        self._last: bytes | None = None
        super().__init__(key, buffer, on_close)

    @abstractmethod
    def load(self, fields: dict[bytes, bytes]) -> T:
        """An entry. Raises KeyError or ValueError for garbage, which is passed over."""

    async def before(self) -> None:
        """Waited for ahead of every look for the stream's end."""

    async def read(self) -> None:
        redis = self._clients.waiting
        await self.before()
        async with answering("tell a stream's end"):
            newest: Any = await redis.xrevrange(self._key, count=1)
        last = self._last = self._place(newest)
        self.opened()
        while True:
            async with answering("give what is added to a stream", WAIT_S + ANSWER_WITHIN_S):
                found: Any = await redis.xread({self._key: last}, count=AT_ONCE, block=WAIT_S * 1000)
            for _, entries in found or ():
                for entry_id, fields in entries:
                    last = self._last = entry_id
                    self._take(fields)

    def _place(self, newest: list[tuple[bytes, dict[bytes, bytes]]]) -> bytes:
        """Where to go on. A stream that is behind where we were is another one: it was flushed."""
        end = newest[0][0] if newest else START
        if self._last is None:
            return end
        return self._last if _order(self._last) <= _order(end) else START

    def _take(self, fields: dict[bytes, bytes]) -> None:
        try:
            self.give(self.load(fields))
        except (KeyError, ValueError) as error:
            log.warning("garbage in a stream, passed over", stream=self._key, reason=repr(error))


def _order(entry_id: bytes) -> tuple[int, int]:
    time_ms, _, place = entry_id.partition(b"-")
    return int(time_ms), int(place)
