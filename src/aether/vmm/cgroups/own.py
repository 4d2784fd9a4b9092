"""Where this process is: the mounted hierarchies of control groups, and its own group in each.

Sources: cgroups(7), and proc(5) on /proc/self/cgroup and mountinfo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """`own` is this process's group, at or below `mount`."""

    controllers: frozenset[str]
    """Of a mount of version 1; empty for version 2, where each group has a `cgroup.controllers`."""
    mount: Path
    own: Path

    @property
    def unified(self) -> bool:
        """Of version 2."""
        return not self.controllers

    def upwards(self) -> Iterator[Path]:
        """The own group, then those that hold it, up to what is mounted."""
        yield self.own
        if self.own != self.mount:
            for directory in self.own.parents:
                yield directory
                if directory == self.mount:
                    return


def hierarchies(proc: Path = Path("/proc/self")) -> list[Hierarchy]:
    """Empty where there are none, or where this process's groups are out of sight."""
    try:
        paths = _own_paths((proc / "cgroup").read_text())
        mounts = (proc / "mountinfo").read_text().splitlines()
    except OSError:
        return []
    found: dict[frozenset[str], Hierarchy] = {}
    for line in mounts:
        hierarchy = _hierarchy(line, paths)
        if hierarchy is not None:
            found.setdefault(hierarchy.controllers, hierarchy)
    return list(found.values())


def _own_paths(text: str) -> dict[str, str]:
    """By controller; under the empty name for v2."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _number, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)
    return paths


def _hierarchy(line: str, paths: dict[str, str]) -> Hierarchy | None:
    before, _, after = line.partition(" - ")
    kind, _source, options = after.split(" ", 2)
    controllers = frozenset(name for name in options.split(",") if kind == "cgroup" and name in paths)
    if not controllers and kind != "cgroup2":
        return None
    path = paths.get(next(iter(controllers), ""))
    root, mount = (_OCTAL.sub(lambda code: chr(int(code[1], 8)), text) for text in before.split(" ")[3:5])
    if path is None or "/.." in path or not PurePosixPath(path).is_relative_to(root):
        return None
    own = Path(mount) / PurePosixPath(path).relative_to(root)
    return Hierarchy(controllers, Path(mount), own) if own.is_dir() else None
