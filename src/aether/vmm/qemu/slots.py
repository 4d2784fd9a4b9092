"""Users and ports that machines are given, each to one at a time."""

from __future__ import annotations

import socket
from collections.abc import Callable

from aether.domain.errors import NoCapacity


class Slots:
    """Numbers from `first` to `last`, handed out in turn, so that a freed one rests before reuse."""

    def __init__(self, first: int, last: int, what: str, usable: Callable[[int], bool] | None = None) -> None:
        self._first = first
        self._count = last - first + 1
        self._what = what
        self._usable = usable
        self._next = 0
        self._taken: set[int] = set()

    def take(self) -> int:
        """Raises NoCapacity when all are taken."""
        for step in range(self._count):
            offset = (self._next + step) % self._count
            number = self._first + offset
            if number not in self._taken and (self._usable is None or self._usable(number)):
                self._taken.add(number)
                self._next = offset + 1
                return number
        raise NoCapacity(f"all {self._count} {self._what} are taken", component="worker")

    def hold(self, number: int) -> None:
        """Mark one that an adopted machine has."""
        self._taken.add(number)

    def give_back(self, number: int) -> None:
        self._taken.discard(number)


def port_is_free(port: int) -> bool:
    """Nobody listens on it on 127.0.0.1 now. QEMU may still find it taken a moment later."""
    with socket.socket() as probe:
        # As QEMU does: connections of an earlier machine that linger are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
