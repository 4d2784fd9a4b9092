"""Stores, gateway and workers, each a process of its own, and what CPU time they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.controlplane import stores

WORKERS = 4
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """CPU time so far, in seconds."""

    gateway: float
    workers: float
    stores: float

    def since(self, before: Cpu) -> Cpu:
        return Cpu(self.gateway - before.gateway, self.workers - before.workers, self.stores - before.stores)


@dataclass(frozen=True)
class Nodes:
    port: int
    """Of the gateway."""
    gateway: int
    workers: tuple[int, ...]
    stores: tuple[int, ...]

    def cpu(self) -> Cpu:
        return Cpu(_cpu_s(self.gateway), sum(map(_cpu_s, self.workers)), sum(map(_cpu_s, self.stores)))


@contextmanager
def running(folder: Path, functions: int) -> Iterator[Nodes]:
    """Everything on loopback; ended afterwards."""
    with stores.running(folder) as there, ExitStack() as stack:
        own = folder / "gateway"
        own.mkdir()
        gateway, told = stack.enter_context(_node("gateway", there, own, str(functions)))
        workers = []
        for number in range(WORKERS):
            own = folder / f"worker-{number}"
            own.mkdir()
            pid, _ = stack.enter_context(_node("worker", there, own, f"127.0.0.{2 + number}"))
            workers.append(pid)
        yield Nodes(told["port"], gateway, tuple(workers), there.pids)


@contextmanager
def _node(
    role: str, there: stores.Stores, folder: Path, argument: str
) -> Iterator[tuple[int, dict[str, int]]]:
    command = [sys.executable, "-m", f"benchmarks.controlplane.{role}"]
    arguments = [there.etcd, there.redis, str(folder), argument]
    with subprocess.Popen(
        [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.pid, json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(60)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
