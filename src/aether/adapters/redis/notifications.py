"""The notifications port on Redis."""

from __future__ import annotations

from collections.abc import Callable

from aether.adapters.redis.clients import WAIT_S, RedisClients, answering
from aether.adapters.redis.names import CODE_UPDATE
from aether.adapters.redis.reading import Reading
from aether.domain.errors import StoreUnavailable
from aether.ports.feed import Feed

SILENCES = 2
"""So many waits without a word, one of them after a ping, and the connection is taken for dead."""


class RedisNotifications:
    """Implements `aether.ports.notifications.Notifications`. What it opened ends with `aclose`."""

    def __init__(self, clients: RedisClients, buffer: int = 10_000) -> None:
        """`buffer`: what one subscriber may have unread before it loses the oldest."""
        self._clients = clients
        self._buffer = buffer
        self._subscribers: set[Reading[str]] = set()

    async def publish(self, function_id: str) -> None:
        for subscriber in list(self._subscribers):
            await subscriber.until_open()
        async with answering("publish"):
            await self._clients.commands.publish(CODE_UPDATE, function_id)

    def subscribe(self) -> Feed[str]:
        subscriber = _Subscriber(self._clients, self._buffer, self._subscribers.discard)
        self._subscribers.add(subscriber)
        return subscriber

    async def aclose(self) -> None:
        for subscriber in list(self._subscribers):
            await subscriber.aclose()


class _Subscriber(Reading[str]):
    def __init__(self, clients: RedisClients, buffer: int, on_close: Callable[[Reading[str]], None]) -> None:
        self._clients = clients
        super().__init__(CODE_UPDATE, buffer, on_close)

    async def read(self) -> None:
        async with self._clients.waiting.pubsub() as pubsub:
            async with answering("subscribe"):
                await pubsub.subscribe(CODE_UPDATE)
            silent = 0
            while silent < SILENCES:
                async with answering("notify", None):
                    message = await pubsub.get_message(timeout=WAIT_S)
                    silent = 0 if message else silent + 1
                    match message:
                        case {"type": "subscribe"}:
                            self.opened()
                        case {"type": "message", "data": bytes(data)}:
                            self.give(data.decode(errors="replace"))
                        case None:
                            # Silence may be that of a connection that is dead: this is answered.
                            await pubsub.ping()
        raise StoreUnavailable(f"Redis does not answer for {SILENCES * WAIT_S} s", component="queue")
