"""The files of version 2. Source: Documentation/admin-guide/cgroup-v2.rst of Linux."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from aether.vmm.cgroups.bounds import Bounds
from aether.vmm.cgroups.version import Setting, event_count

NAME = "cgroup v2"
PERIOD_US = 100_000
WEIGHT_PER_CPU = 100
MAX_WEIGHT = 10_000
SUBTREE = "cgroup.subtree_control"


class V2:
    """Implements `aether.vmm.cgroups.version.Version`."""

    name = NAME

    def enable(self, directory: Path, controllers: Collection[str]) -> None:
        control = directory / SUBTREE
        wanted = set(controllers) - set(control.read_text().split())
        if wanted:
            control.write_text(" ".join(f"+{name}" for name in sorted(wanted)))

    def settings(self, bounds: Bounds) -> Iterator[Setting]:
        yield Setting("memory", "memory.max", str(bounds.memory_bytes))
        # An instance is in memory or is not; the file is missing where swap is not counted.
        yield Setting("memory", "memory.swap.max", "0", optional=True)
        yield Setting("memory", "memory.oom.group", "1", optional=True)
        yield Setting("cpu", "cpu.max", f"{int(bounds.cpus * PERIOD_US)} {PERIOD_US}")
        yield Setting("cpu", "cpu.weight", str(min(WEIGHT_PER_CPU * bounds.share, MAX_WEIGHT)))
        yield Setting("pids", "pids.max", str(bounds.pids))

    def base_settings(self, cpus: int) -> Iterator[Setting]:
        yield Setting("cpu", "cpu.weight", str(min(WEIGHT_PER_CPU * cpus, MAX_WEIGHT)), optional=True)

    def kills_for_memory(self, memory: Path) -> int:
        return event_count(memory / "memory.events", "oom_kill")

    def reached_limit(self, memory: Path) -> bool:
        return event_count(memory / "memory.events", "oom") > 0
