"""Kept-alive connections to upstreams."""

import asyncio
import select
import ssl
from collections import deque
from collections.abc import Callable

from aether.http.limits import Limits
from aether.http.messages import Upstream
from aether.http.neighbours import Neighbours
from aether.http.reachability import Reachability
from aether.http.upstream import UpstreamConnection
from aether.http.watch import Watch

_SWEEP_S = 0.5

TlsSource = Callable[[], ssl.SSLContext]
"""Gives the context of now: certificates and what they are signed by change while a relay runs."""


class NoTls(OSError):
    """An upstream speaks TLS, and there is nothing here to speak it with."""


class Pool:
    """Idle connections by upstream, the last used first: the others then grow old and go."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        watch: Watch,
        neighbours: Neighbours | None = None,
        tls: TlsSource | None = None,
    ) -> None:
        self.limits = limits
        self._neighbours = neighbours
        self._tls = tls
        silence_s = limits.upstream_silence_s
        self._reachability = None if silence_s is None else Reachability(watch, silence_s)
        self.due_at = 0.0
        self._loop = loop
        self._watch = watch
        self._idle: dict[Upstream, deque[UpstreamConnection]] = {}

    def take(self, upstream: Upstream, *, look: bool) -> UpstreamConnection | None:
        """A usable idle connection, or None.

        `look` asks the kernel whether the other side has closed it: for requests that can't be sent twice.
        """
        idle = self._idle.get(upstream)
        if not idle:
            return None
        now = self._loop.time()
        while idle:
            connection = idle.pop()
            if (
                connection.expires_at <= now
                or connection.transport.is_closing()
                or (look and _stale(connection))
            ):
                connection.abandon()
                continue
            connection.reused = True
            return connection
        return None

    def give(self, connection: UpstreamConnection) -> None:
        """Keep an idle connection for a while."""
        if connection.tls is not None and (self._tls is None or connection.tls is not self._tls()):
            connection.abandon()  # it was agreed on with what is no longer in use
            return
        idle_s = self.limits.upstream_idle_s
        if connection.idle_s is not None:
            idle_s = min(idle_s, connection.idle_s - 1.0)
        now = self._loop.time()
        connection.expires_at = now + idle_s
        idle = self._idle.get(connection.upstream)
        if idle is None:
            if not self._idle:
                self.due_at = now + _SWEEP_S
                self._watch.add(self)
            idle = self._idle[connection.upstream] = deque()
        idle.append(connection)
        if len(idle) > self.limits.max_idle_per_upstream:
            idle.popleft().abandon()

    async def connect(self, upstream: Upstream) -> UpstreamConnection:
        """Open a connection; OSError (TimeoutError, SSLError, NoTls among them) when that fails."""
        connection = UpstreamConnection(self, upstream)
        if self._neighbours is not None and self._neighbours.connect(upstream, connection):
            return connection
        if upstream.tls:
            if self._tls is None:
                raise NoTls("it speaks TLS, and there is no certificate here for it")
            connection.tls = self._tls()
        async with asyncio.timeout(self.limits.connect_timeout_s):
            if upstream.path:
                await self._loop.create_unix_connection(lambda: connection, upstream.path)
            else:
                await self._loop.create_connection(
                    lambda: connection, upstream.host, upstream.port, ssl=connection.tls
                )
        if self._reachability is not None:
            self._reachability.add(connection.transport)
        return connection

    async def reach(self, upstream: Upstream) -> None:
        """Find out whether one can connect, and keep the connection. As `connect`, which tells if not."""
        self.give(await self.connect(upstream))

    def discard(self, connection: UpstreamConnection) -> None:
        """Forget a connection, if it is here."""
        idle = self._idle.get(connection.upstream)
        if idle and connection in idle:
            idle.remove(connection)

    def forget(self, upstream: Upstream) -> None:
        """Close the idle connections to an upstream that is going, or gone."""
        for connection in self._idle.pop(upstream, ()):
            connection.abandon()

    def due(self, now: float) -> None:
        """Close what has been idle too long."""
        for upstream, idle in list(self._idle.items()):
            for connection in [each for each in idle if each.expires_at <= now]:
                connection.abandon()
            if not idle:
                self._idle.pop(upstream, None)
        self.due_at = now + _SWEEP_S
        if not self._idle:
            self._watch.discard(self)

    def close(self) -> None:
        for upstream in list(self._idle):
            self.forget(upstream)


def _stale(connection: UpstreamConnection) -> bool:
    """An idle connection with anything to read is closed, or speaks out of turn."""
    descriptor = connection.transport.get_extra_info("socket").fileno()
    if descriptor < 0:  # within this process: what the other side did is known by now
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLRDHUP)
    return bool(poll.poll(0))
