"""Where instances' proxies listen: ports in turn, so that one given up rests before its next use.

Gateways keep connections to a proxy that ends for some seconds. On the same port a new instance
would be taken for the old one, and get the old one's refusals.
"""

from __future__ import annotations

FIRST = 30_000
LAST = 32_767
"""Of a turn; above begin the ports that Linux gives to outgoing connections."""


class ProxyPorts:
    """`next` is where to begin to look for a free port."""

    def __init__(self, first: int = FIRST, last: int = LAST) -> None:
        self._first = first
        self._last = last
        self.next = first

    def given(self, port: int) -> None:
        self.next = port + 1 if self._first <= port < self._last else self._first
