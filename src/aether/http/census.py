"""How many connections there are, in all and from each client."""

import ipaddress
from collections import Counter
from functools import lru_cache

_IPV6_SITE_BYTES = 8


class Census:
    """Counts connections in and out, tunnels included. A client without an address counts in all only."""

    def __init__(self, most: int, most_per_client: int | None) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._all = 0
        self._by_client: Counter[bytes] = Counter()

    def enter(self, host: str) -> bool:
        """Count one in; False, and not counted, when it would be one too many."""
        if self._all >= self._most:
            return False
        if host and self._most_per_client is not None:
            client = _client(host)
            if self._by_client[client] >= self._most_per_client:
                return False
            self._by_client[client] += 1
        self._all += 1
        return True

    def leave(self, host: str) -> None:
        """Count one out that was counted in."""
        self._all -= 1
        if host and self._most_per_client is not None:
            client = _client(host)
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]


@lru_cache(maxsize=1024)
def _client(host: str) -> bytes:
    """What counts as one client: an IPv4 address, or an IPv6 /64, which one subscriber has all of."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return address.packed[:_IPV6_SITE_BYTES] if mapped is None else mapped.packed
    return address.packed
