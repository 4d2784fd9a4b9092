"""The notifications port in one process."""

from __future__ import annotations

from aether.adapters.memory.fanout import Fanout
from aether.ports.feed import Feed

CHANNEL = "channel:code_update"


class MemoryNotifications:
    """Implements `aether.ports.notifications.Notifications`."""

    def __init__(self, buffer: int = 10_000) -> None:
        """`buffer`: what one subscriber may have unread before it loses the oldest."""
        self._fanout: Fanout[str] = Fanout(buffer)

    async def publish(self, function_id: str) -> None:
        self._fanout.publish(CHANNEL, function_id)

    def subscribe(self) -> Feed[str]:
        return self._fanout.subscribe(CHANNEL)
