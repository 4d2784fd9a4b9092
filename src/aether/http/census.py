"""How many connections there are, in all and from each client."""

import ipaddress
from collections import Counter
from functools import lru_cache

from aether.http.port_share import Seat

_IPV6_SITE_BYTES = 8


class Census:
    """Counts connections in and out, tunnels included. A client without an address counts in all only.

    With a `seat`, the connections of all processes on the port count.
    """

    def __init__(self, most: int, most_per_client: int | None, seat: Seat | None = None) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._seat = seat
        self._all = 0
        self._by_client: Counter[bytes] = Counter()

    def enter(self, host: str) -> bool:
        """Count one in; False, and not counted, when it would be one too many."""
        seat = self._seat
        if (self._all if seat is None else seat.total()) >= self._most:
            return False
        client = _client(host) if host and self._most_per_client is not None else b""
        if client and self._most_per_client is not None:
            there = self._by_client[client] if seat is None else seat.of_client(client)
            if there >= self._most_per_client:
                return False
            self._by_client[client] += 1
        self._all += 1
        if seat is not None:
            seat.count(client, 1)
        return True

    def leave(self, host: str) -> None:
        """Count one out that was counted in."""
        self._all -= 1
        client = _client(host) if host and self._most_per_client is not None else b""
        if client:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]
        if self._seat is not None:
            self._seat.count(client, -1)


@lru_cache(maxsize=1024)
def _client(host: str) -> bytes:
    """What counts as one client: an IPv4 address, or an IPv6 /64, which one subscriber has all of."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return address.packed[:_IPV6_SITE_BYTES] if mapped is None else mapped.packed
    return address.packed
