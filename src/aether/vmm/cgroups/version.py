"""What the two versions of control groups differ in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aether.vmm.cgroups.bounds import Bounds


@dataclass(frozen=True, slots=True)
class Setting:
    """A value to write into a file of a group. One that is `optional` may be missing or refused."""

    controller: str
    file: str
    value: str
    optional: bool = False


class Version(Protocol):
    @property
    def name(self) -> str:
        """As users are told it."""
        ...

    def enable(self, directory: Path, controllers: Collection[str]) -> None:
        """Let groups below have these. Raises OSError."""
        ...

    def settings(self, bounds: Bounds) -> Iterator[Setting]:
        """What holds a group to `bounds`, of all controllers."""
        ...

    def base_settings(self, cpus: int) -> Iterator[Setting]:
        """Of the group around all of ours: together they count as one ordinary process on each of `cpus`."""
        ...

    def kills_for_memory(self, memory: Path) -> int:
        """How often the kernel has killed in that group for want of memory."""
        ...

    def reached_limit(self, memory: Path) -> bool:
        """Whether it came to its own limit; if not, it was the host that had no memory."""
        ...


def event_count(file: Path, name: str) -> int:
    """A counter out of lines `name number`; 0 when it is not told."""
    try:
        rows = dict(line.split(" ", 1) for line in file.read_text().splitlines())
    except OSError:
        return 0
    return int(rows.get(name, "0"))
