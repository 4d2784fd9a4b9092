"""Ports of proxies take turns."""

from __future__ import annotations

from aether.worker.proxy_ports import ProxyPorts


def test_a_port_rests_until_all_others_had_their_turn():
    ports = ProxyPorts(first=10, last=12)
    seen = []
    for _ in range(5):
        seen.append(ports.next)
        ports.given(ports.next)
    assert seen == [10, 11, 12, 10, 11]


def test_one_found_beyond_the_turn_ends_it():
    ports = ProxyPorts(first=10, last=12)
    ports.given(15)
    assert ports.next == 10
