"""Pairs in turn, ours and nginx, so that a drift of the machine hits both; medians of their ratios."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.relay.open_loop import OpenLoop
from benchmarks.relay.processes import (
    ONE_HOP,
    TWO_HOP,
    TWO_HOP_TCP,
    Server,
    Servers,
    check_tools,
    running,
)
from benchmarks.relay.wrk import Load, load
from benchmarks.report import median, percentile

RUNS = 5
LOAD_S = 2
RATE = 500.0
RATE_S = 2.0


@dataclass(frozen=True)
class Sample:
    load: Load
    cpu_us: float
    """CPU time per request of the server alone, without backend and load generator."""


Pairs = list[tuple[Sample, Sample]]


def measure(runs: int) -> dict[str, float]:
    check_tools()
    with tempfile.TemporaryDirectory(prefix="aether-bench-") as name, running(Path(name)) as servers:
        folder = Path(name)
        small = {way: _pairs(servers, way, "small", runs, folder) for way in (ONE_HOP, TWO_HOP, TWO_HOP_TCP)}
        large = _pairs(servers, TWO_HOP, "large", runs, folder)
        latency = _at_fixed_rate(servers, runs)
    metrics = {
        f"rps_over_nginx_{way}": median([a.load.rps / b.load.rps for a, b in pairs])
        for way, pairs in small.items()
    }
    metrics["mbps_over_nginx_two_hop"] = median([a.load.mbps / b.load.mbps for a, b in large])
    metrics |= latency
    for way, pairs in small.items():
        metrics |= _both(f"rps_{way}", [(a.load.rps, b.load.rps) for a, b in pairs])
        metrics |= _both(f"cpu_us_{way}", [(a.cpu_us, b.cpu_us) for a, b in pairs])
    return metrics | _both("mbps_two_hop", [(a.load.mbps, b.load.mbps) for a, b in large])


def _both(name: str, pairs: list[tuple[float, float]]) -> dict[str, float]:
    return {name: median([a for a, _ in pairs]), f"nginx_{name}": median([b for _, b in pairs])}


def _pairs(servers: Servers, way: str, what: str, runs: int, folder: Path) -> Pairs:
    pairs = []
    for run in range(runs + 1):
        seconds = LOAD_S if run else 1  # the first of each only warms up
        pair = (
            _loaded(servers.ours, way, what, seconds, folder),
            _loaded(servers.nginx, way, what, seconds, folder),
        )
        ours, nginx = pair
        print(
            f"{way} {what} {run:2}/{runs}: ours {ours.load.rps:7.0f}/s {ours.cpu_us:6.1f} us CPU, "
            f"nginx {nginx.load.rps:7.0f}/s {nginx.cpu_us:6.1f} us CPU, ratio "
            f"{ours.load.rps / nginx.load.rps:.2f}",
            flush=True,
        )
        if run:
            pairs.append(pair)
    return pairs


def _loaded(server: Server, way: str, what: str, seconds: int, folder: Path) -> Sample:
    port, prefix = server.ways[way]
    before_s = server.cpu_s()
    result = load(f"http://127.0.0.1:{port}{prefix}/{what}", seconds, folder)
    return Sample(result, (server.cpu_s() - before_s) / result.requests * 1e6)


def _at_fixed_rate(servers: Servers, runs: int) -> dict[str, float]:
    """What two hops add to a request at 500/s, over asking the backend itself."""
    ours, nginx = servers.ours.ways[TWO_HOP], servers.nginx.ways[TWO_HOP]
    sides = {"": ours, "nginx_": nginx, "direct": (servers.backend_port, "")}
    p50: dict[str, list[float]] = {side: [] for side in sides}
    p99: dict[str, list[float]] = {side: [] for side in sides}
    for run in range(runs + 1):
        for side, (port, prefix) in sides.items():
            times = OpenLoop(port, prefix, RATE).run(RATE_S)
            if run:
                p50[side].append(percentile(times, 50))
                p99[side].append(percentile(times, 99))
    added = {}
    for side in ("", "nginx_"):
        for name, values in (("p50", p50), ("p99", p99)):
            differences = [a - b for a, b in zip(values[side], values["direct"], strict=True)]
            added[f"{side}added_{name}_ms"] = median(differences)
    return added
