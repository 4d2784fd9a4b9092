"""What every suite leaves: a table for people and a JSON file for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path("build/benchmarks")


def percentile(values: Sequence[float], percent: float) -> float:
    """By linear interpolation between the two nearest."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def show(suite: str, metrics: Mapping[str, float]) -> None:
    width = max(map(len, metrics))
    print(f"\n{suite}")
    for name, value in metrics.items():
        print(f"  {name.ljust(width)}  {value:10.3f}")


def write(suite: str, metrics: Mapping[str, float]) -> Path:
    """`{"suite", "metrics", "environment", "at"}` to `build/benchmarks/SUITE.json`."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{suite}.json"
    document = {
        "suite": suite,
        "metrics": {name: round(value, 6) for name, value in metrics.items()},
        "environment": environment(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def environment() -> dict[str, object]:
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "qemu": _first_line("qemu-system-x86_64", "--version"),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def _first_line(*command: str) -> str:
    try:
        return subprocess.check_output(command, text=True, timeout=10).splitlines()[0]
    except (OSError, subprocess.SubprocessError):
        return "not found"
