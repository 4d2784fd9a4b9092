"""What a relay listens on, and its end without losing who has just connected."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from aether.http.limits import Limits
from aether.http.messages import Upstream
from aether.http.neighbours import Neighbours

_BACKLOG = 1024


class Late:
    """A connection that the kernel had taken when its listener closed."""

    def __init__(
        self, taken: socket.socket, made: Callable[[], asyncio.Protocol], tls: dict[str, Any]
    ) -> None:
        self._taken = taken
        self._made = made
        self._tls = tls

    async def connect(self) -> asyncio.Protocol | None:
        """Have it served; None when it is gone by now."""
        loop = asyncio.get_running_loop()
        try:
            _, protocol = await loop.connect_accepted_socket(self._made, self._taken, **self._tls)
        except OSError:
            self._taken.close()
            return None
        return protocol

    def close(self) -> None:
        self._taken.close()


class Listening:
    """Any number of listeners, whose connections are `made` into protocols. Owned by a relay."""

    def __init__(self, made: Callable[[], asyncio.Protocol], limits: Limits, neighbours: Neighbours) -> None:
        self._made = made
        self._limits = limits
        self._neighbours = neighbours
        self._addresses: list[Upstream] = []
        self._servers: list[tuple[asyncio.Server, dict[str, Any]]] = []

    async def open(
        self,
        host: str | None,
        port: int,
        *,
        sock: socket.socket | None,
        path: str | None,
        tls: ssl.SSLContext | None,
    ) -> tuple[str, int] | str:
        """As `Relay.listen`."""
        loop = asyncio.get_running_loop()
        with_tls: dict[str, Any] = {}
        if tls is not None:
            with_tls = {
                "ssl": tls,
                "ssl_handshake_timeout": self._limits.head_timeout_s,
                "ssl_shutdown_timeout": self._limits.linger_s,
            }
        options = {"backlog": _BACKLOG, **with_tls}
        if path is not None:
            server = await loop.create_unix_server(self._made, path, **options)
        elif sock is not None:
            server = await loop.create_server(self._made, sock=sock, **options)
        else:
            server = await loop.create_server(self._made, host, port, **options)
        self._servers.append((server, with_tls))
        name = server.sockets[0].getsockname()
        if isinstance(name, str):
            return name
        if tls is None:
            self._addresses.append(Upstream(name[0], name[1]))
            self._neighbours.add(self._addresses[-1], self._made)
        return name[0], name[1]

    def close(self) -> list[Late]:
        """Stop listening, and give the connections that the kernel had taken already.

        Closing a listener resets them, for no fault of their clients, who may have sent a request by now.
        """
        late = []
        for server, tls in self._servers:
            late += [Late(taken, self._made, tls) for taken in _closed(server)]
        self._servers.clear()
        for address in self._addresses:
            self._neighbours.remove(address)
        self._addresses.clear()
        return late


def _closed(server: asyncio.Server) -> list[socket.socket]:
    with contextlib.ExitStack() as stack:
        again = [stack.enter_context(socket.socket(fileno=os.dup(each.fileno()))) for each in server.sockets]
        server.close()
        return [taken for listening in again for taken in _the_last(listening)]


def _the_last(listening: socket.socket) -> list[socket.socket]:
    """All that wait; the shutdown right after leaves no more than microseconds for another."""
    taken = []
    listening.setblocking(False)
    with contextlib.suppress(OSError):
        while True:
            taken.append(listening.accept()[0])
    with contextlib.suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
    return taken
