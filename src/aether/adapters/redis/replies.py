"""Replies to jobs: a stream for each name, so that a cut connection loses none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from aether.adapters.redis.clients import ANSWER_WITHIN_S, WAIT_S, RedisClients, answering
from aether.adapters.redis.job_form import dump_reply, load_reply
from aether.adapters.redis.names import replies_to
from aether.adapters.redis.reading import Reading
from aether.domain.job import JobReply

log = structlog.get_logger()

KEPT_S = 60
"""A stream that nobody adds to goes after so long: longer than its listener is cut off and still waits."""
KEPT = 10_000
START = b"0-0"


async def send(clients: RedisClients, name: str, reply: JobReply) -> None:
    """Raises StoreUnavailable."""
    key = replies_to(name)
    async with answering("take a reply"), clients.commands.pipeline(transaction=False) as pipeline:
        pipeline.xadd(key, {b"reply": dump_reply(reply)}, maxlen=KEPT, approximate=True)
        pipeline.expire(key, KEPT_S)
        await pipeline.execute()


class Replies(Reading[JobReply]):
    """Begins at the stream's end, and goes on where it was after a cut."""

    def __init__(
        self, clients: RedisClients, name: str, buffer: int, on_close: Callable[[Reading[JobReply]], None]
    ) -> None:
        self._clients = clients
        self._key = replies_to(name)
        self._last: bytes | None = None
        super().__init__(self._key, buffer, on_close)

    async def read(self) -> None:
        redis = self._clients.waiting
        async with answering("give replies"):
            newest: Any = await redis.xrevrange(self._key, count=1)
        last = self._last = self._place(newest)
        self.opened()
        while True:
            async with answering("give replies", WAIT_S + ANSWER_WITHIN_S):
                found: Any = await redis.xread({self._key: last}, count=1000, block=WAIT_S * 1000)
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
            self.give(load_reply(fields[b"reply"]))
        except (KeyError, ValueError) as error:
            log.warning("garbage among the replies, passed over", reason=str(error))


def _order(entry_id: bytes) -> tuple[int, int]:
    time_ms, _, place = entry_id.partition(b"-")
    return int(time_ms), int(place)
