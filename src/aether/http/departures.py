"""Noticing that a client went while nothing is read from it."""

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aether.http.client import ClientConnection
    from aether.http.watch import Watch

_LOOK_EVERY_S = 0.3


class Departures:
    """Looks at clients that are held: their end of file lies behind bytes that nobody wants yet.

    The kernel is asked for the end of file itself (POLLRDHUP), which it tells whatever is unread.
    """

    def __init__(self, watch: "Watch") -> None:
        self.due_at = 0.0
        self._watch = watch
        self._held: set[ClientConnection] = set()

    def add(self, client: "ClientConnection") -> None:
        if not self._held:
            self.due_at = 0.0
            self._watch.add(self)
        self._held.add(client)

    def discard(self, client: "ClientConnection") -> None:
        self._held.discard(client)

    def due(self, now: float) -> None:
        """End the exchanges of those that have gone."""
        self.due_at = now + _LOOK_EVERY_S
        if not self._held:
            self._watch.discard(self)
            return
        poll = select.poll()
        by_descriptor = {}
        for client in self._held:
            descriptor = client.transport.get_extra_info("socket").fileno()
            if descriptor >= 0:
                by_descriptor[descriptor] = client
                poll.register(descriptor, select.POLLRDHUP)
        for descriptor, _ in poll.poll(0):
            by_descriptor[descriptor].left()
