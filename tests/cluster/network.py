"""A bridge with a network of its own, for one run."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv4Network, ip_network

from tests.cluster.shell import run

NETWORKS = IPv4Network("172.31.0.0/16")
FIRST_WORKER = 11


class Network:
    """Stores are at `.1`, gateways from `.2` on, workers from `.11` on."""

    def __init__(self, bridge: str) -> None:
        self.bridge = bridge
        self.subnet = _free()
        run(f"ip link add {bridge} type bridge forward_delay 0")
        self.stores = self._own(1)
        run(f"ip link set {bridge} up")

    def gateway(self, number: int) -> str:
        """An address of its own for a gateway on this host; from 1."""
        return self._own(1 + number)

    def worker(self, number: int) -> str:
        return str(self.subnet[FIRST_WORKER - 1 + number])

    def _own(self, number: int) -> str:
        address = self.subnet[number]
        run(f"ip address add {address}/{self.subnet.prefixlen} dev {self.bridge}")
        return str(address)


def _free() -> IPv4Network:
    """A /24 that this host has no way to yet. Raises RuntimeError when there is none."""
    known = [ip_network(word) for word in run("ip -4 -o route show").split() if _is_network(word)]
    free = [n for n in NETWORKS.subnets(new_prefix=24) if not any(n.overlaps(other) for other in known)]
    if not free:
        raise RuntimeError(f"this host has routes to all of {NETWORKS}")
    return random.choice(free)


def _is_network(word: str) -> bool:
    address, slash, bits = word.partition("/")
    try:
        IPv4Address(address)
    except ValueError:
        return False
    return bool(slash) and bits.isdigit()
