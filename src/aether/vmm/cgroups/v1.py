"""The files of version 1. Source: Documentation/admin-guide/cgroup-v1 of Linux."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from aether.vmm.cgroups.bounds import Bounds
from aether.vmm.cgroups.version import Setting, event_count

NAME = "cgroup v1"
PERIOD_US = 100_000
SHARES_PER_CPU = 1024
CHARGED_AT_ONCE_BYTES = 64 * 4096
"""The kernel counts memory in advance by so much; the last of it before a limit it may not get."""


class V1:
    """Implements `aether.vmm.cgroups.version.Version`."""

    name = NAME

    def enable(self, directory: Path, controllers: Collection[str]) -> None:
        """Nothing: every group has what its hierarchy has."""

    def settings(self, bounds: Bounds) -> Iterator[Setting]:
        yield Setting("memory", "memory.limit_in_bytes", str(bounds.memory_bytes))
        # Together with swap no more, where swap is counted: an instance is in memory or is not.
        yield Setting("memory", "memory.memsw.limit_in_bytes", str(bounds.memory_bytes), optional=True)
        yield Setting("cpu", "cpu.cfs_period_us", str(PERIOD_US))
        yield Setting("cpu", "cpu.cfs_quota_us", str(int(bounds.cpus * PERIOD_US)))
        yield Setting("cpu", "cpu.shares", str(SHARES_PER_CPU * bounds.share))
        yield Setting("pids", "pids.max", str(bounds.pids))

    def base_settings(self, cpus: int) -> Iterator[Setting]:
        # Kernels before 5.11 count a group's children only where told to.
        yield Setting("memory", "memory.use_hierarchy", "1", optional=True)
        yield Setting("cpu", "cpu.shares", str(SHARES_PER_CPU * cpus), optional=True)

    def kills_for_memory(self, memory: Path) -> int:
        return event_count(memory / "memory.oom_control", "oom_kill")

    def reached_limit(self, memory: Path) -> bool:
        # Not by its `failcnt`: that stays 0 where memory with swap has the same limit.
        most, limit = (
            int((memory / file).read_text())
            for file in ("memory.max_usage_in_bytes", "memory.limit_in_bytes")
        )
        return most + CHARGED_AT_ONCE_BYTES >= limit
