"""The relay: listens, hands each connection's requests to its handler, and ends without losing any."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial

from aether.http.arriving import Arrival
from aether.http.census import Census
from aether.http.client import ClientConnection
from aether.http.departures import Departures
from aether.http.exchange import Exchange
from aether.http.handler import Handler
from aether.http.limits import Limits
from aether.http.listening import Listening
from aether.http.messages import FailureKind, Outcome, Phase, Upstream
from aether.http.neighbours import Neighbours
from aether.http.pool import Pool, TlsSource
from aether.http.port_share import Seat
from aether.http.reachability import Reachability
from aether.http.supervisor import Supervisor, report
from aether.http.tunnel import Tunnel
from aether.http.watch import Watch

_LATE_GRACE_S = 1.0
"""How long one who connected at the last moment has for the first bytes of its request."""
_WRITTEN_WITHIN_S = 1.0
_MAX_REFUSED = 1000
"""Connections over the limit that are told so at a time; more are only closed."""


class Relay:
    """One HTTP/1.1 relay in the running loop, on any number of listeners.

    `edge` says that clients are outside: X-Forwarded-For is appended to, -Proto and -Host are set. Where
    `trusts` says of a client's address that it is a front proxy of ours, its -Proto and -Host are kept, and
    the limit of connections per client is not for it.
    Relays with the same `neighbours` reach each other within the process. `tls` is for upstreams that want
    it. With a `seat` it shares its port, and the limits of connections, with other processes.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        *,
        edge: bool = False,
        trusts: Callable[[str], bool] = lambda _host: False,
        neighbours: Neighbours | None = None,
        tls: TlsSource | None = None,
        seat: Seat | None = None,
    ) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.edge = edge
        self.trusts = trusts
        self.loop = asyncio.get_running_loop()
        self.draining = False
        self.idle_limit_s = self.limits.keepalive_timeout_s
        """How long a client's connection stays between requests."""
        self.in_flight = 0
        """Requests that have begun and not ended, tunnels included."""
        self.supervisor = Supervisor(self.loop)
        self.watch = Watch(self.loop)
        self.departures = Departures(self.watch)
        self.pool = Pool(self.loop, self.limits, self.watch, neighbours, tls)
        silence_s = self.limits.client_silence_s
        self._reachability = None if silence_s is None else Reachability(self.watch, silence_s)
        made = partial(ClientConnection, self)
        self._listening = Listening(made, self._arrived, self.limits, neighbours or Neighbours(), seat)
        self._arriving: set[Arrival] = set()
        self._unwelcome = 0
        """Those among them that are too many, and go through their handshake to be told so."""
        self._clients: set[ClientConnection] = set()
        self._tunnels: set[Tunnel] = set()
        self._census = Census(self.limits.max_connections, self.limits.max_connections_per_client, seat)
        self._empty = asyncio.Event()
        self._empty.set()

    async def listen(
        self,
        host: str | None = None,
        port: int = 0,
        *,
        sock: socket.socket | None = None,
        path: str | None = None,
        tls: TlsSource | None = None,
    ) -> tuple[str, int] | str:
        """Accept connections on a TCP address, a bound socket or a Unix path; gives the address. OSError.

        With `tls` they speak it, each new one by the context that it gives then.
        """
        return await self._listening.open(host, port, sock=sock, path=path, tls=tls)

    async def reach(self, upstream: Upstream) -> None:
        """Find out whether one can connect to an upstream. OSError when not."""
        await self.pool.reach(upstream)

    def forget(self, upstream: Upstream) -> None:
        """Close the idle connections to an upstream that is going, or gone."""
        self.pool.forget(upstream)

    def wind_down(self) -> None:
        """From now on each connection's next answer is its last; new ones are still accepted."""
        self.draining = True

    async def drain(self, timeout_s: float, *, idle_grace_s: float = 0.0) -> bool:
        """Stop accepting, close idle connections, and let running requests end, each with its connection.

        For `idle_grace_s` idle connections stay, and take one more request each: where it is longer than the
        other side keeps idle connections (`upstream_idle_s` of a relay), no request can cross a close.
        True when all ended by themselves and were written out; the rest is left running for `close`.
        """
        self.draining = True
        self.idle_limit_s = idle_grace_s
        for late in self._listening.close():
            self._begin(late)
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

    async def give_up(self) -> None:
        """Have the handler answer what has no answer yet (`STOPPING`), and let that be written out."""
        for client in list(self._clients):
            exchange = client.exchange
            if exchange is not None and exchange.forward is not None and exchange.phase is not Phase.STREAM:
                exchange.fail(FailureKind.STOPPING)
        await self.drain(_WRITTEN_WITHIN_S)

    async def close(self) -> None:
        """End everything now. Requests still running are cut."""
        self.draining = True
        self._arriving.update(self._listening.close())
        for client in list(self._clients):
            if client.exchange is not None:
                client.exchange.cut(Outcome.CLOSED)
            client.transport.abort()
        for tunnel in list(self._tunnels):
            tunnel.abort(Outcome.CLOSED)
        await self.supervisor.close()
        for arrival in self._arriving:
            arrival.close()
        self._arriving.clear()
        self._check_empty()
        self.pool.close()
        await self._empty.wait()
        self.watch.close()

    def _arrived(self, arrival: Arrival) -> None:
        """It counts from now on, whether or not its handshake ever ends."""
        arrival.client.counted = self._census.enter(self._counted_as(arrival.host))
        if arrival.client.counted or self._unwelcome < _MAX_REFUSED:
            self._begin(arrival)
        else:
            arrival.close()

    def _begin(self, arrival: Arrival) -> None:
        self._arriving.add(arrival)
        self._unwelcome += not arrival.client.counted
        self._empty.clear()
        self.supervisor.start(self._serve(arrival))

    async def _serve(self, arrival: Arrival) -> None:
        client, served = arrival.client, False
        unwelcome = not client.counted
        try:
            served = await arrival.connect()
        finally:
            self._unwelcome -= unwelcome
            self._arriving.discard(arrival)
            if not served:
                self._uncount(client, arrival.host)
            self._check_empty()
        if served and self.draining and client.idle:
            client.due_at = self.loop.time() + max(self.idle_limit_s, _LATE_GRACE_S)

    # For the connections

    @property
    def flooded(self) -> bool:
        """There are too many connections even to tell all of them so."""
        return len(self._clients) > self.limits.max_connections + _MAX_REFUSED

    def connection_made(self, client: ClientConnection) -> None:
        """Take a connection in. One that is not `counted` then is one too many, and to be refused."""
        self._clients.add(client)
        self._empty.clear()
        self.watch.add(client)
        client.counted = client.counted or self._census.enter(self._counted_as(client.peer[0]))
        if self._reachability is not None:
            self._reachability.add(client.transport)

    def connection_lost(self, client: ClientConnection) -> None:
        if client not in self._clients:
            return
        self._clients.discard(client)
        self.watch.discard(client)
        self._uncount(client, client.peer[0])
        self._check_empty()

    def _counted_as(self, host: str) -> str:
        """A front proxy has the connections of many clients: it is none of them."""
        return "" if host and self.trusts(host) else host

    def _uncount(self, client: ClientConnection, host: str) -> None:
        if client.counted:
            client.counted = False
            self._census.leave(self._counted_as(host))

    def became_tunnel(self, client: ClientConnection, tunnel: Tunnel) -> None:
        """The tunnel takes the client's place."""
        self._clients.discard(client)
        self.watch.discard(client)
        self._tunnels.add(tunnel)
        self.watch.add(tunnel)

    def remove_tunnel(self, tunnel: Tunnel) -> None:
        self._tunnels.discard(tunnel)
        self.watch.discard(tunnel)
        self._census.leave(self._counted_as(tunnel.exchange.request.client[0]))
        self._check_empty()

    def _check_empty(self) -> None:
        if not self._clients and not self._tunnels and not self._arriving:
            self._empty.set()

    def exchange_ended(self, exchange: Exchange) -> None:
        self.in_flight -= 1
        try:
            self.handler.finished(exchange)
        except Exception as error:  # noqa: BLE001 - the owner's bookkeeping must not stop the relay
            self.report("A handler failed", error)

    def report(self, message: str, error: BaseException) -> None:
        report(self.loop, message, error)
