"""Where on this host groups can be made by this process, found by looking, and taken when asked to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aether.vmm.cgroups.bounds import CONTROLLERS
from aether.vmm.cgroups.group import PROCS
from aether.vmm.cgroups.own import Hierarchy, hierarchies
from aether.vmm.cgroups.v1 import V1
from aether.vmm.cgroups.v2 import SUBTREE, V2
from aether.vmm.cgroups.version import Version

OURS = "-platform"
"""Ends the name of the group that the platform itself goes into, where its own has to have no process."""


@dataclass(frozen=True, slots=True)
class Place:
    """`parents` are existing groups, by controller, in which ours can be made."""

    version: Version
    parents: Mapping[str, Path]
    vacate: bool = False
    """The parent is this process's own group, of version 2: it has to leave it for one below."""

    @property
    def missing(self) -> list[str]:
        return [name for name in CONTROLLERS if name not in self.parents]

    @property
    def kind(self) -> str:
        """`cgroup v1` or `cgroup v2`, and what of it can't be had."""
        without = f", without {' and '.join(self.missing)}" if self.missing else ""
        return f"{self.version.name}{without}"


@dataclass(frozen=True, slots=True)
class NoPlace:
    why: str
    unified: bool = False
    """The host has version 2, where groups can be delegated."""


def find_place(found: Sequence[Hierarchy] | None = None) -> Place | NoPlace:
    """The best there is for this process. Looks, and changes nothing."""
    known = hierarchies() if found is None else found
    places = [place for place in (_in_v2(known), _in_v1(known)) if isinstance(place, Place)]
    if places:
        return max(places, key=lambda place: len(place.parents))
    return NoPlace(_why_none(known), unified=_has_v2_controllers(known))


def occupy(place: Place, name: str) -> None:
    """Make it so that groups with controllers can be made there. Raises OSError."""
    for parent in dict.fromkeys(place.parents.values()):
        if place.vacate:
            leaf = parent / f"{name}{OURS}"
            leaf.mkdir(exist_ok=True)
            (leaf / PROCS).write_text("0")
        place.version.enable(parent, place.parents)


def leave(place: Place, name: str) -> None:
    """Undo `occupy` as far as that goes."""
    for parent in dict.fromkeys(place.parents.values()) if place.vacate else ():
        with contextlib.suppress(OSError):
            (parent / SUBTREE).write_text(" ".join(f"-{controller}" for controller in place.parents))
            (parent / PROCS).write_text("0")
            (parent / f"{name}{OURS}").rmdir()


def _in_v1(found: Sequence[Hierarchy]) -> Place | None:
    owns = {name: hierarchy.own for hierarchy in found for name in hierarchy.controllers}
    parents = {name: owns[name] for name in CONTROLLERS if name in owns and _writable(owns[name])}
    return Place(V1(), parents) if parents else None


def _in_v2(found: Sequence[Hierarchy]) -> Place | None:
    """The own group if nobody else is in it; else the nearest above that needs no change; else any above."""
    places: list[tuple[int, int, Place]] = []
    for hierarchy in (h for h in found if h.unified):
        for directory in hierarchy.upwards():
            if not _writable(directory):
                break
            if directory.name.endswith(OURS):
                continue
            enabled = _words(directory / SUBTREE)
            vacate = directory == hierarchy.own and _is_inner(directory)
            if vacate:
                usable = _words(directory / "cgroup.controllers") if _alone_in(directory) else set()
            elif _is_inner(directory) and _words(directory / PROCS):
                usable = enabled
            else:
                usable = _words(directory / "cgroup.controllers")
            parents = {name: directory for name in CONTROLLERS if name in usable}
            if parents:
                rank = 2 if vacate else 1 if parents.keys() <= enabled else 0
                places.append((len(parents), rank, Place(V2(), parents, vacate)))
    return max(places, key=lambda ranked: ranked[:2])[2] if places else None


def _is_inner(directory: Path) -> bool:
    """Not the root of all groups, which alone may have both processes and groups with controllers."""
    return (directory / "cgroup.type").exists()


def _alone_in(directory: Path) -> bool:
    return _words(directory / PROCS) == {str(os.getpid())}


def _words(file: Path) -> set[str]:
    with contextlib.suppress(OSError):
        return set(file.read_text().split())
    return set()


def _writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK) and os.access(directory / PROCS, os.W_OK)


def _has_v2_controllers(found: Sequence[Hierarchy]) -> bool:
    """Not by its mount alone: systemd has one beside version 1 as well, to keep track of services."""
    in_v1 = {name for hierarchy in found for name in hierarchy.controllers}
    return any(hierarchy.unified for hierarchy in found) and not in_v1 & set(CONTROLLERS)


def _why_none(found: Sequence[Hierarchy]) -> str:
    if _has_v2_controllers(found):
        wanted = [hierarchy for hierarchy in found if hierarchy.unified]
    else:
        wanted = [hierarchy for hierarchy in found if hierarchy.controllers & set(CONTROLLERS)]
    if not wanted:
        return "no control groups are to be seen here"
    own = wanted[0].own
    if _writable(own):
        return f"other processes share this one's control group, {own}"
    return f"this user may not make control groups in {own}"
