"""The groups of one platform on its host: made, found again, swept away."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from aether.vmm.cgroups.bounds import Bounds
from aether.vmm.cgroups.group import Group, apply, remove
from aether.vmm.cgroups.place import Place, enable, leave, occupy

MEMO = "cgroups.json"
"""In the run directory: where groups were made, so that a later process finds them, wherever it runs."""


class Groups:
    """All below one group per controller, whose name says whose they are. `open` is how to get one."""

    def __init__(self, place: Place, run_dir: Path) -> None:
        self._place = place
        self._memo = run_dir / MEMO
        self._name = identity(run_dir)
        self._base = {name: parent / self._name for name, parent in place.parents.items()}

    @property
    def kind(self) -> str:
        """`cgroup v1` or `cgroup v2`, and what of it can't be had here."""
        missing = f", without {', '.join(self._place.missing)}" if self._place.missing else ""
        return f"{self._place.version.name}{missing}"

    def open(self) -> None:
        """Take the place. Raises OSError when the host does not allow it after all."""
        occupy(self._place, self._name)
        self._remember()
        self._make_base()

    def make(self, name: str, bounds: Bounds) -> Group:
        """Raises OSError."""
        group = self._group(self._base, name)
        try:
            group.make(bounds)
        except FileNotFoundError:
            # Whoever looks after the host's groups may have tidied away an empty one.
            self._make_base()
            group.make(bounds)
        return group

    def find(self, name: str, pid: int) -> Group | None:
        """The group that an earlier process made, and put `pid` into."""
        for base in self._bases():
            group = self._group(base, name)
            if pid in group.processes():
                return group
        return None

    def sweep(self, keep: set[str]) -> list[str]:
        """End what runs in any other group of ours, and remove them. Returns their names. Blocks."""
        removed = set()
        for base in self._bases():
            for name in _children(base) - keep:
                group = self._group(base, name)
                group.kill()
                group.remove()
                removed.add(name)
            if base != self._base:
                for path in base.values():
                    remove(path)
        self._remember()
        return sorted(removed)

    def close(self) -> None:
        """Nothing stays but the groups of machines that run on."""
        for path in dict.fromkeys(self._base.values()):
            remove(path)
        leave(self._place, self._name)
        self._remember()

    def _group(self, base: Mapping[str, Path], name: str) -> Group:
        return Group(self._place.version, {controller: path / name for controller, path in base.items()})

    def _make_base(self) -> None:
        for path in dict.fromkeys(self._base.values()):
            path.mkdir(exist_ok=True)
            enable(self._place, path)
        apply(self._place.version.base_settings(os.cpu_count() or 1), self._base)

    def _bases(self) -> list[dict[str, Path]]:
        """Ours, and those of earlier processes with this run directory, by what they wrote down."""
        known = [self._base]
        with contextlib.suppress(OSError, ValueError, AttributeError):
            for base in json.loads(self._memo.read_text()):
                paths = {str(controller): Path(path) for controller, path in base.items()}
                if paths not in known and all(path.name == self._name for path in paths.values()):
                    known.append(paths)
        return known

    def _remember(self) -> None:
        """Write down where groups of ours are, or are about to be."""
        there = [base for base in self._bases() if base == self._base or any(p.exists() for p in base.values())]
        ...


def identity(run_dir: Path) -> str:
    """The directory itself, not its path: whoever holds its lock is the only one to make such groups."""
    status = run_dir.stat()
    return f"aether-{status.st_dev:x}-{status.st_ino:x}"


def _children(base: Mapping[str, Path]) -> set[str]:
    return {entry.name for path in base.values() if path.is_dir() for entry in path.iterdir() if entry.is_dir()}
