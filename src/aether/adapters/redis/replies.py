"""Replies to jobs: a stream for each name, so that a cut connection loses none."""

from __future__ import annotations

from collections.abc import Callable

from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.job_form import dump_reply, load_reply
from aether.adapters.redis.names import replies_to
from aether.adapters.redis.reading import Reading
from aether.adapters.redis.scripted import Scripts
from aether.adapters.redis.stream_reading import StreamReading
from aether.domain.job import JobReply

KEPT_S = 60
"""A stream that nobody adds to goes after so long: longer than its listener is cut off and still waits."""
KEPT = 10_000


async def send(scripts: Scripts, name: str, reply: JobReply) -> None:
    """Raises StoreUnavailable."""
    await scripts.run("reply", [replies_to(name)], [dump_reply(reply), KEPT, KEPT_S])


class Replies(StreamReading[JobReply]):
    def __init__(
        self, clients: RedisClients, name: str, buffer: int, on_close: Callable[[Reading[JobReply]], None]
    ) -> None:
        super().__init__(clients, replies_to(name), buffer, on_close)

    def load(self, fields: dict[bytes, bytes]) -> JobReply:
        return load_reply(fields[b"reply"])
