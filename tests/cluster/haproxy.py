"""Debian's haproxy in front of the gateways, as docs/cluster.md sets it up."""

from __future__ import annotations

import csv
import socket
from collections.abc import Sequence
from pathlib import Path

CONFIGURATION = """\
global
    maxconn 4000
    stats socket {socket} mode 600

defaults
    mode http
    option forwardfor
    timeout connect 2s
    timeout client 90s
    # Longer than any call may take until the head of its answer.
    timeout server 910s
    timeout tunnel 1h
    # Another gateway is asked when one does not take the connection; what was sent is never sent again.
    retries 2
    option redispatch 1
    retry-on conn-failure

frontend functions
{binds}
    default_backend gateways

backend gateways
    balance roundrobin
    http-reuse safe
    option httpchk GET /readyz
    http-check expect status 200
    # A gateway that stops says so here first, and goes on answering for a second.
    default-server check inter 500ms fastinter 100ms downinter 200ms fall 1 rise 1
{servers}
"""


def write_configuration(path: Path, listen: Sequence[str], gateways: Sequence[str]) -> None:
    """`listen` and `gateways` are addresses with ports. Its socket is beside the file."""
    binds = "\n".join(f"    bind {address}" for address in listen)
    servers = "\n".join(f"    server gateway-{n} {address}" for n, address in enumerate(gateways, 1))
    path.write_text(CONFIGURATION.format(socket=_socket(path), binds=binds, servers=servers))


def command(configuration: Path) -> list[str]:
    return ["haproxy", "-db", "-f", str(configuration)]


def requests(configuration: Path) -> dict[str, int]:
    """How many went to each gateway so far."""
    return {row["svname"]: int(row["stot"]) for row in _servers(configuration)}


def uses_all(configuration: Path) -> bool:
    """Whether it sends requests to every gateway."""
    return all(row["status"] == "UP" for row in _servers(configuration))


def _servers(configuration: Path) -> list[dict[str, str]]:
    """What it tells of each gateway. Raises OSError before it runs."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(_socket(configuration)))
        sock.sendall(b"show stat\n")
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    rows = csv.DictReader(text.removeprefix("# ").splitlines())
    return [row for row in rows if row["svname"].startswith("gateway-")]


def _socket(configuration: Path) -> Path:
    return configuration.with_suffix(".sock")
