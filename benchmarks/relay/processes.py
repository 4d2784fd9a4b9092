"""The servers, each a process of its own, and what CPU time they take."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.relay.nginx import Ports, write_backend, write_hops

ONE_HOP, TWO_HOP, TWO_HOP_TCP = "one_hop", "two_hop", "two_hop_tcp"
"""Two hops are the gateway and an instance proxy of its own process, as under `aether up`; or by TCP."""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """One side of a comparison: where it listens, by number of hops, and its processes."""

    name: str
    ways: dict[str, tuple[int, str]]
    """Port and path prefix, by the way that requests take."""
    pid: int

    def cpu_s(self) -> float:
        """CPU time so far, of the process and its children."""
        return sum(_cpu_s(pid) for pid in (self.pid, *_children(self.pid)))


@dataclass(frozen=True)
class Servers:
    ours: Server
    nginx: Server
    backend_port: int


def check_tools() -> None:
    """Exits with the command that helps when nginx or wrk is missing."""
    missing = [
        package for tool, package in (("wrk", "wrk"), ("nginx", "nginx-light")) if not shutil.which(tool)
    ]
    if missing:
        sys.exit(f"This benchmark needs more tools: apt-get install {' '.join(missing)}")


@contextmanager
def running(folder: Path) -> Iterator[Servers]:
    """Backend, nginx as the hops, and ours, all on loopback; ended afterwards."""
    ports = Ports(*_free_ports(3))
    root = os.geteuid() == 0
    with (
        _nginx(write_backend(folder, ports, root=root), ports.backend),
        _nginx(write_hops(folder, ports, root=root), ports.two_hop) as nginx_pid,
        _ours(ports.backend, folder) as (our_pid, port),
    ):
        ours = {
            ONE_HOP: (port, "/functions/direct"),
            TWO_HOP: (port, "/functions/proxied"),
            TWO_HOP_TCP: (port, "/functions/remote"),
        }
        two_hop = (ports.two_hop, "")
        nginx = {ONE_HOP: (ports.one_hop, ""), TWO_HOP: two_hop, TWO_HOP_TCP: two_hop}
        yield Servers(Server("ours", ours, our_pid), Server("nginx", nginx, nginx_pid), ports.backend)


@contextmanager
def _nginx(config: Path, port: int) -> Iterator[int]:
    process = subprocess.Popen(["nginx", "-e", "stderr", "-c", config])
    try:
        _until_listening(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _ours(backend_port: int, folder: Path) -> Iterator[tuple[int, int]]:
    command = [sys.executable, "-m", "benchmarks.relay.ours", str(backend_port), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.pid, json.loads(process.stdout.readline())["port"]
        finally:
            process.stdin.close()
            process.wait(30)


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _until_listening(port: int) -> None:
    give_up_at = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
        else:
            return


def _cpu_s(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
