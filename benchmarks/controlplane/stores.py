"""etcd and Redis as one host would run them: on disk, Redis with its log written every second."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Stores:
    etcd: str
    """Its URL."""
    redis: str
    pids: tuple[int, ...]


def check_programs() -> None:
    """Exits with the command that helps when etcd or Redis is missing."""
    missing = [
        p for p, c in (("etcd-server", "etcd"), ("redis-server", "redis-server")) if not shutil.which(c)
    ]
    if missing:
        sys.exit(f"This benchmark needs more programs: apt-get install {' '.join(missing)}")


@contextmanager
def running(folder: Path) -> Iterator[Stores]:
    client, peer, redis = _free_ports(3)
    etcd = f"http://{HOST}:{client}"
    peers = f"http://{HOST}:{peer}"
    with (
        _process(
            [
                *("etcd", "--data-dir", str(folder / "etcd"), "--logger", "zap", "--log-level", "warn"),
                *("--listen-client-urls", etcd, "--advertise-client-urls", etcd),
                *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
                *("--initial-cluster", f"default={peers}"),
            ],
            client,
        ) as etcd_pid,
        _process(
            [
                *("redis-server", "--bind", HOST, "--port", str(redis), "--dir", str(folder)),
                *("--appendonly", "yes", "--appendfsync", "everysec"),
            ],
            redis,
        ) as redis_pid,
    ):
        yield Stores(etcd, f"redis://{HOST}:{redis}", (etcd_pid, redis_pid))


@contextmanager
def _process(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_listening(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _until_listening(port: int, within_s: float = 20.0) -> None:
    give_up_at = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection((HOST, port)).close()
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
        else:
            return
