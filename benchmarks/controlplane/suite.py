"""Two passes, each over fresh processes and stores: the peak, and half of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.controlplane import nodes
from benchmarks.controlplane.load import Load
from benchmarks.controlplane.nodes import Cpu
from benchmarks.controlplane.stores import check_programs
from benchmarks.report import median, percentile

RUNS = 1
FUNCTIONS = 2000
AT_ONCE = 64
SHM = Path("/dev/shm")
"""Where the stores' data lie: what a disk shared with others adds says little about another one."""
SETTLE_S = 2.0
"""Heartbeats have told of all workers by then."""


@dataclass(frozen=True)
class Pass:
    took_s: float
    times_ms: list[float]
    cpu: Cpu

    @property
    def per_s(self) -> float:
        return len(self.times_ms) / self.took_s

    def cpu_ms(self, seconds: float) -> float:
        """Of one start."""
        return seconds * 1000 / len(self.times_ms)


def measure(runs: int) -> dict[str, float]:
    check_programs()
    peaks = [_pass("peak", lambda load: load.as_fast_as_it_goes(AT_ONCE)) for _ in range(runs)]
    rate = median([peak.per_s for peak in peaks]) / 2
    halves = [_pass(f"{rate:.0f}/s", lambda load: load.at_rate(rate)) for _ in range(runs)]
    return {
        "cold_starts_per_s": median([peak.per_s for peak in peaks]),
        "own_p50_ms": median([percentile(half.times_ms, 50) for half in halves]),
        "own_p99_ms": median([percentile(half.times_ms, 99) for half in halves]),
        "own_cpu_ms_per_start": median([p.cpu_ms(p.cpu.gateway + p.cpu.workers) for p in peaks]),
        "stores_cpu_ms_per_start": median([p.cpu_ms(p.cpu.stores) for p in peaks]),
        "gateway_cpu_ms_per_start": median([p.cpu_ms(p.cpu.gateway) for p in peaks]),
        "workers_cpu_ms_per_start": median([p.cpu_ms(p.cpu.workers) for p in peaks]),
        "half_rate_per_s": rate,
        "half_own_cpu_ms_per_start": median([h.cpu_ms(h.cpu.gateway + h.cpu.workers) for h in halves]),
        "peak_p50_ms": median([percentile(peak.times_ms, 50) for peak in peaks]),
    }


def _pass(name: str, run: Callable[[Load], tuple[float, list[float]]]) -> Pass:
    with (
        tempfile.TemporaryDirectory(prefix="aether-bench-") as folder,
        nodes.running(Path(folder), FUNCTIONS) as there,
    ):
        time.sleep(SETTLE_S)
        before = there.cpu()
        took_s, times_ms = run(Load(there.port, FUNCTIONS))
        result = Pass(took_s, times_ms, there.cpu().since(before))
        cpu = [
            result.cpu_ms(seconds) for seconds in (result.cpu.gateway, result.cpu.workers, result.cpu.stores)
        ]
        print(
            f"{name}: {result.per_s:.0f} starts/s, p50 {percentile(times_ms, 50):.1f} ms, "
            f"p99 {percentile(times_ms, 99):.1f} ms; CPU per start: gateway {cpu[0]:.2f} ms, "
            f"workers {cpu[1]:.2f} ms, stores {cpu[2]:.2f} ms",
            flush=True,
        )
    return result
