"""What a relay listens on, and its end without losing who has just connected."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

from aether.http.arriving import Acceptor, Arrival, the_last
from aether.http.client import ClientConnection
from aether.http.limits import Limits
from aether.http.messages import Upstream
from aether.http.neighbours import Neighbours
from aether.http.pool import TlsSource
from aether.http.port_share import BACKLOG, Seat


class Listening:
    """Any number of listeners, whose connections are `made` into protocols. Owned by a relay.

    Connections whose TLS is yet to be agreed on are told to `arrived` first.
    """

    def __init__(
        self,
        made: Callable[[], ClientConnection],
        arrived: Callable[[Arrival], None],
        limits: Limits,
        neighbours: Neighbours,
        seat: Seat | None = None,
    ) -> None:
        self._seat = seat
        self._made = made
        self._arrived = arrived
        self._limits = limits
        self._neighbours = neighbours
        self._addresses: list[Upstream] = []
        self._servers: list[asyncio.Server] = []
        self._acceptors: list[Acceptor] = []

    async def open(
        self,
        host: str | None,
        port: int,
        *,
        sock: socket.socket | None,
        path: str | None,
        tls: TlsSource | None,
    ) -> tuple[str, int] | str:
        """As `Relay.listen`."""
        seat = self._seat if self._seat is not None and sock is self._seat.listening else None
        if tls is not None or seat is not None:
            return self._accept(sock or _bound(host or "", port), tls, seat)
        loop = asyncio.get_running_loop()
        if path is not None:
            server = await loop.create_unix_server(self._made, path, backlog=BACKLOG)
        elif sock is not None:
            server = await loop.create_server(self._made, sock=sock, backlog=BACKLOG)
        else:
            server = await loop.create_server(self._made, host, port, backlog=BACKLOG)
        self._servers.append(server)
        name = server.sockets[0].getsockname()
        if isinstance(name, str):
            return name
        self._known_as(Upstream(name[0], name[1]))
        return name[0], name[1]

    def _accept(self, listening: socket.socket, tls: TlsSource | None, seat: Seat | None) -> tuple[str, int]:
        def arrived(taken: socket.socket) -> Arrival:
            if tls is None:
                return Arrival(taken, self._made, {})
            options: dict[str, Any] = {
                "ssl": tls(),
                "ssl_handshake_timeout": self._limits.head_timeout_s,
                "ssl_shutdown_timeout": self._limits.linger_s,
            }
            return Arrival(taken, self._made, options)

        if seat is not None:
            seat.sit_down()
        self._acceptors.append(Acceptor(listening, arrived, self._arrived, seat))
        name = listening.getsockname()
        self._known_as(Upstream(name[0], name[1], tls=tls is not None))
        return name[0], name[1]

    def _known_as(self, address: Upstream) -> None:
        """Relays of this process need no socket to get here, and so no TLS."""
        self._addresses.append(address)
        self._neighbours.add(address, self._made)

    def close(self) -> list[Arrival]:
        """Stop listening, and give the connections that the kernel had taken already.

        Closing a listener resets them, for no fault of their clients, who may have sent a request by now.
        """
        late = [Arrival(taken, self._made, {}) for server in self._servers for taken in _closed(server)]
        for acceptor in self._acceptors:
            late += acceptor.close()
        self._servers.clear()
        self._acceptors.clear()
        for address in self._addresses:
            self._neighbours.remove(address)
        self._addresses.clear()
        return late


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def _closed(server: asyncio.Server) -> list[socket.socket]:
    with contextlib.ExitStack() as stack:
        again = [stack.enter_context(socket.socket(fileno=os.dup(each.fileno()))) for each in server.sockets]
        server.close()
        return [taken for listening in again for taken in the_last(listening)]
