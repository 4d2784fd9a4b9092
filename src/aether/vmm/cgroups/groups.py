"""The groups of one platform on its host: made, found again, swept away."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from aether.vmm.cgroups.bounds import Bounds
from aether.vmm.cgroups.group import Group, apply, remove
from aether.vmm.cgroups.memo import Base, read_bases, write_bases
from aether.vmm.cgroups.place import Place, leave, occupy


class Groups:
    """All below one group per controller, the base, whose name says whose they are.

    `run_dir` has to be this process's alone, as by its lock: what bears its name is then ours.
    """

    def __init__(self, place: Place, run_dir: Path) -> None:
        """Takes the place. Raises OSError when the host does not allow it after all."""
        self.kind = place.kind
        self._place = place
        self._run_dir = run_dir
        self._name = identity(run_dir)
        self._base: Base = {name: parent / self._name for name, parent in place.parents.items()}
        self._earlier = [base for base in read_bases(run_dir) if self._is_ours(base) and base != self._base]
        write_bases(run_dir, [self._base, *self._earlier])
        try:
            occupy(place, self._name)
            self._make_base()
        except BaseException:
            self.close()
            raise

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
        groups = (self._group(base, name) for base in (self._base, *self._earlier))
        return next((group for group in groups if pid in group.processes()), None)

    def sweep(self, keep: set[str]) -> list[str]:
        """End what runs in any other group of ours, and remove those. Returns their names. Blocks."""
        swept = set()
        for base in (self._base, *self._earlier):
            for name in _children(base) - keep:
                group = self._group(base, name)
                group.kill()
                group.remove()
                swept.add(name)
        self._forget_empty()
        return sorted(swept)

    def close(self) -> None:
        """Nothing stays but the groups of machines that run on."""
        if not _children(self._base):
            for path in _paths(self._base):
                remove(path)
            leave(self._place, self._name)
        self._forget_empty()
        write_bases(self._run_dir, [b for b in (self._base, *self._earlier) if _children(b)])

    def _forget_empty(self) -> None:
        for base in list(self._earlier):
            if all([remove(path) for path in _paths(base)]):  # noqa: C419 - every one of them is tried
                self._earlier.remove(base)
        write_bases(self._run_dir, [self._base, *self._earlier])

    def _make_base(self) -> None:
        for path in _paths(self._base):
            path.mkdir(exist_ok=True)
            self._place.version.enable(path, self._place.parents)
        apply(self._place.version.base_settings(os.cpu_count() or 1), self._base)

    def _group(self, base: Mapping[str, Path], name: str) -> Group:
        return Group(self._place.version, {controller: path / name for controller, path in base.items()})

    def _is_ours(self, base: Base) -> bool:
        return bool(base) and all(path.name == self._name for path in base.values())


def identity(run_dir: Path) -> str:
    """Of the directory itself rather than its path: whoever has its lock is alone with this name."""
    status = run_dir.stat()
    return f"aether-{status.st_dev:x}-{status.st_ino:x}"


def _paths(base: Base) -> list[Path]:
    return list(dict.fromkeys(base.values()))


def _children(base: Base) -> set[str]:
    return {
        entry.name for path in _paths(base) if path.is_dir() for entry in path.iterdir() if entry.is_dir()
    }
