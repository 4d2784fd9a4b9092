"""Where instances' proxies listen: ports in turn, so that one given up rests before its next use.

Gateways keep connections to a proxy that ends for some seconds. On the same port a new instance
would be taken for the old one, and get the old one's refusals.
"""

from __future__ import annotations

import errno

from aether.domain.errors import InstanceFailed
from aether.http import Relay, TlsSource

FIRST = 30_000
LAST = 32_767
"""Of a turn; above begin the ports that Linux gives to outgoing connections."""
LAST_PORT = 65_535


class ProxyPorts:
    """Of one worker, whose instances may look for theirs at once."""

    def __init__(self, first: int = FIRST, last: int = LAST) -> None:
        self._first = first
        self._last = last
        self._next = first

    def take(self) -> int:
        """Where to begin to look for a free one; each time elsewhere."""
        port = self._next
        self.begin_after(port)
        return port

    def begin_after(self, port: int) -> None:
        """All up to there are taken."""
        self._next = port + 1 if self._first <= port < self._last else self._first


async def bind(relay: Relay, host: str, first_port: int, tls: TlsSource | None = None) -> int:
    """Have it listen on the first free port from `first_port` up. Raises InstanceFailed, OSError."""
    for port in range(first_port, LAST_PORT + 1):
        try:
            await relay.listen(host, port, tls=tls)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return port
    raise InstanceFailed(f"no free port from {first_port} up", component="worker")
