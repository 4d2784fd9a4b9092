"""The relay: listens, hands each connection's requests to its handler, and ends without losing any."""

import asyncio
import socket
import ssl
from collections import Counter

from aether.http.client import ClientConnection
from aether.http.exchange import Exchange
from aether.http.handler import Handler
from aether.http.limits import Limits
from aether.http.messages import Outcome, Upstream
from aether.http.pool import Pool
from aether.http.supervisor import Supervisor, report
from aether.http.tunnel import Tunnel
from aether.http.watch import Watch

_BACKLOG = 1024


class Relay:
    """One HTTP/1.1 relay in the running loop, on any number of listeners.

    `edge` says that clients are outside: X-Forwarded-For is appended to, -Proto and -Host are set.
    """

    def __init__(self, handler: Handler, limits: Limits | None = None, *, edge: bool = False) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.edge = edge
        self.loop = asyncio.get_running_loop()
        self.draining = False
        self.in_flight = 0
        """Requests that have begun and not ended, tunnels included."""
        self.supervisor = Supervisor(self.loop)
        self.watch = Watch(self.loop)
        self.pool = Pool(self.loop, self.limits, self.watch)
        self._servers: list[asyncio.Server] = []
        self._clients: set[ClientConnection] = set()
        self._tunnels: set[Tunnel] = set()
        self._by_peer: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    async def listen(
        self,
        host: str | None = None,
        port: int = 0,
        *,
        sock: socket.socket | None = None,
        path: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> tuple[str, int] | str:
        """Accept connections on a TCP address, a bound socket or a Unix path; gives the address. OSError."""
        if path is not None:
            server = await self.loop.create_unix_server(
                lambda: ClientConnection(self), path, backlog=_BACKLOG, ssl=tls
            )
        elif sock is not None:
            server = await self.loop.create_server(
                lambda: ClientConnection(self), sock=sock, backlog=_BACKLOG, ssl=tls
            )
        else:
            server = await self.loop.create_server(
                lambda: ClientConnection(self), host, port, backlog=_BACKLOG, ssl=tls
            )
        self._servers.append(server)
        name = server.sockets[0].getsockname()
        return name if isinstance(name, str) else (name[0], name[1])

    def forget(self, upstream: Upstream) -> None:
        """Close the idle connections to an upstream that is going, or gone."""
        self.pool.forget(upstream)

    async def drain(self, timeout_s: float, *, idle_grace_s: float = 0.0) -> bool:
        """Stop accepting, close idle connections, and let running requests end, each with its connection.

        For `idle_grace_s` idle connections stay, and take one more request each: where it is longer than the
        other side keeps idle connections (`upstream_idle_s` of a relay), no request can cross a close.
        True when all ended by themselves and were written out; the rest is left running for `close`.
        """
        self.draining = True
        self._stop_listening()
        for client in list(self._clients):
            if client.idle and idle_grace_s > 0:
                client.due_at = self.loop.time() + idle_grace_s
            elif client.idle:
                client.end()
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """End everything now. Requests still running are cut."""
        self.draining = True
        self._stop_listening()
        for client in list(self._clients):
            if client.exchange is not None:
                client.exchange.cut(Outcome.CLOSED)
            client.transport.abort()
        for tunnel in list(self._tunnels):
            tunnel.abort(Outcome.CLOSED)
        await self.supervisor.close()
        self.pool.close()
        await self._empty.wait()
        self.watch.close()

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    # For the connections

    def connection_made(self, client: ClientConnection) -> bool:
        """Count a connection in; False when it is one too many, and to be refused."""
        self._clients.add(client)
        self._empty.clear()
        self.watch.add(client)
        self._by_peer[client.peer[0]] += 1
        per_client = self.limits.max_connections_per_client
        if client.peer[0] and per_client is not None and self._by_peer[client.peer[0]] > per_client:
            return False
        return len(self._clients) <= self.limits.max_connections

    def connection_lost(self, client: ClientConnection) -> None:
        if client not in self._clients:
            return
        self._clients.discard(client)
        self.watch.discard(client)
        host = client.peer[0]
        self._by_peer[host] -= 1
        if not self._by_peer[host]:
            del self._by_peer[host]
        self._check_empty()

    def add_tunnel(self, tunnel: Tunnel) -> None:
        self._tunnels.add(tunnel)
        self._empty.clear()
        self.watch.add(tunnel)

    def remove_tunnel(self, tunnel: Tunnel) -> None:
        self._tunnels.discard(tunnel)
        self.watch.discard(tunnel)
        self._check_empty()

    def _check_empty(self) -> None:
        if not self._clients and not self._tunnels:
            self._empty.set()

    def exchange_began(self) -> None:
        self.in_flight += 1

    def exchange_ended(self, exchange: Exchange) -> None:
        self.in_flight -= 1
        try:
            self.handler.finished(exchange)
        except Exception as error:  # noqa: BLE001 - the owner's bookkeeping must not stop the relay
            self.report("A handler failed", error)

    def report(self, message: str, error: BaseException) -> None:
        report(self.loop, message, error)
