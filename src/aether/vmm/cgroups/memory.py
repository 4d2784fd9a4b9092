"""How much memory there is for this process and what it starts: of the host, or less where a group says so.

In a container `/proc/meminfo` tells of the host, and the container's own limit counts as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aether.vmm.cgroups.own import Hierarchy, hierarchies

MEMINFO = Path("/proc/meminfo")
UNLIMITED = 1 << 63


@dataclass(frozen=True, slots=True)
class _Files:
    """What a version calls them. `can_go` are counters of memory that the kernel takes back on need."""

    limits: tuple[str, ...]
    usage: str
    can_go: tuple[str, ...]


_V1 = _Files(
    ("memory.limit_in_bytes",), "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")
)
_V2 = _Files(
    ("memory.max", "memory.high"), "memory.current", ("inactive_file", "active_file", "slab_reclaimable")
)


class HostMemory:
    """Call it for total and available bytes, as they are then."""

    def __init__(self, found: Sequence[Hierarchy] | None = None, meminfo: Path = MEMINFO) -> None:
        known = hierarchies() if found is None else found
        self._meminfo = meminfo
        self._levels = [
            (directory, _V2 if hierarchy.unified else _V1)
            for hierarchy in known
            if hierarchy.unified or "memory" in hierarchy.controllers
            for directory in hierarchy.upwards()
        ]

    def __call__(self) -> tuple[int, int]:
        of_host, available = _of_host(self._meminfo)
        total = of_host
        for directory, files in self._levels:
            limit = min((_number(directory / name) for name in files.limits), default=UNLIMITED)
            if limit < of_host:
                total = min(total, limit)
                available = min(available, limit - _held(directory, files))
        return total, max(0, available)


def _of_host(meminfo: Path) -> tuple[int, int]:
    rows = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    total, available = (int(rows[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return total, available


def _number(file: Path) -> int:
    """`max` is no limit, and neither is a file that is not there: the root group of version 2 has none."""
    try:
        text = file.read_text().strip()
    except OSError:
        return UNLIMITED
    return UNLIMITED if text == "max" else int(text)


def _held(directory: Path, files: _Files) -> int:
    """What the group's processes keep, those of groups below too."""
    try:
        used = int((directory / files.usage).read_text())
        rows = dict(line.split(" ", 1) for line in (directory / "memory.stat").read_text().splitlines())
    except OSError:
        return 0
    return used - sum(int(rows.get(name, "0")) for name in files.can_go)
