"""Connections that the kernel has taken, and that no protocol serves yet: their TLS is to be agreed on."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from aether.http.client import ClientConnection
from aether.http.port_share import Seat

_AT_ONCE = 64
"""Connections taken in one turn of the loop: others have work in it too."""
_FOR_OTHERS_S = 0.002
"""How long a process that has more connections than others leaves a new one to them."""
_OUT_OF_DESCRIPTORS_S = 1.0
"""Until another try when the process can't have any more."""


class Arrival:
    """One such connection; `client` serves it as soon as `connect` has come to its end."""

    def __init__(
        self, taken: socket.socket, made: Callable[[], ClientConnection], tls: dict[str, Any]
    ) -> None:
        self.client = made()
        self.host = ""
        with contextlib.suppress(OSError):  # gone again
            name = taken.getpeername()
            self.host = name[0] if isinstance(name, tuple) else ""
        self._taken = taken
        self._tls = tls

    async def connect(self) -> bool:
        """Have it served; False when it is gone by now, or did not get to speak TLS."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: self.client, self._taken, **self._tls)
        except OSError:
            self._taken.close()
            return False
        return True

    def close(self) -> None:
        self._taken.close()


class Acceptor:
    """Accepts by itself, so that a connection is known from its first moment on.

    The event loop's own servers tell of one only when its TLS handshake is done; nothing would bound those
    that never get there. And they take all that wait at once: on a shared socket others are to get some.
    """

    def __init__(
        self,
        listening: socket.socket,
        made: Callable[[socket.socket], Arrival],
        arrived: Callable[[Arrival], None],
        seat: Seat | None = None,
    ) -> None:
        self._seat = seat
        self._at_once = _AT_ONCE if seat is None else 1
        self._left_to_others = False
        self._listening = listening
        self._made = made
        self._arrived = arrived
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._listen()

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        if self._seat is not None and not self._left_to_others and not self._seat.is_my_turn():
            self._left_to_others = True
            self._loop.remove_reader(self._listening)
            self._again = self._loop.call_later(_FOR_OTHERS_S, self._listen)
            return
        self._left_to_others = False
        for _ in range(self._at_once):
            try:
                taken, _address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._listening)
                self._again = self._loop.call_later(_OUT_OF_DESCRIPTORS_S, self._listen)
                return
            self._arrived(self._made(taken))

    def close(self) -> list[Arrival]:
        """Stop, and give those that the kernel had taken already."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listening)
        late = []
        if self._seat is None or self._seat.all_end:
            late = [self._made(taken) for taken in the_last(self._listening)]
        self._listening.close()
        return late


def the_last(listening: socket.socket) -> list[socket.socket]:
    """All that wait; the shutdown right after leaves no more than microseconds for another."""
    taken = []
    listening.setblocking(False)
    with contextlib.suppress(OSError):
        while True:
            taken.append(listening.accept()[0])
    with contextlib.suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
    return taken
