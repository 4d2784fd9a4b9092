"""Ports of proxies take turns."""

from __future__ import annotations

from aether.worker.proxy_ports import ProxyPorts


def test_a_port_rests_until_all_others_had_their_turn():
    ports = ProxyPorts(first=10, last=12)
    assert [ports.take() for _ in range(5)] == [10, 11, 12, 10, 11]


def test_one_found_beyond_the_turn_ends_it():
    ports = ProxyPorts(first=10, last=12)
    ports.begin_after(15)
    assert ports.take() == 10
