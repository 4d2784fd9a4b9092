"""Where groups can be made, by what `/proc` and the tree of groups look like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aether.vmm.cgroups import NoPlace, Place, find_place
from aether.vmm.cgroups.own import Hierarchy, hierarchies

ALL = "cpuset cpu io memory pids"


def tree(root: Path, path: str, *, procs: str = "", enabled: str = "", controllers: str = ALL) -> Path:
    """A group of version 2, as files."""
    group = root / path
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.procs").write_text(procs)
    (group / "cgroup.subtree_control").write_text(enabled)
    (group / "cgroup.controllers").write_text(controllers)
    if path:
        (group / "cgroup.type").write_text("domain")
    return group


def found(root: Path, own: Path) -> Place | NoPlace:
    return find_place([Hierarchy(frozenset(), root, own)])


def only(place: Place | NoPlace) -> Path:
    """The one parent of all controllers."""
    assert isinstance(place, Place), place
    assert place.missing == []
    [parent] = set(place.parents.values())
    return parent


def test_a_group_that_is_ours_alone_is_left_for_one_below_it(tmp_path: Path) -> None:
    tree(tmp_path, "", enabled=ALL)
    own = tree(tmp_path, "aether.service", procs=f"{os.getpid()}\n")
    place = found(tmp_path, own)
    assert only(place) == own
    assert isinstance(place, Place)
    assert place.vacate


def test_a_group_with_others_in_it_is_left_alone_and_ours_are_made_beside_it(tmp_path: Path) -> None:
    tree(tmp_path, "", enabled=ALL)
    tree(tmp_path, "user.slice", enabled="memory pids")
    own = tree(tmp_path, "user.slice/session-1.scope", procs=f"1\n{os.getpid()}\n", controllers="memory pids")
    place = found(tmp_path, own)
    assert only(place) == tmp_path
    assert isinstance(place, Place)
    assert not place.vacate


def test_the_nearest_that_needs_no_change_is_taken(tmp_path: Path) -> None:
    tree(tmp_path, "", enabled=ALL)
    slice_ = tree(tmp_path, "user.slice", enabled=ALL)
    own = tree(tmp_path, "user.slice/session-1.scope", procs=f"1\n{os.getpid()}\n")
    assert only(found(tmp_path, own)) == slice_


def test_what_is_not_to_be_had_is_told(tmp_path: Path) -> None:
    own = tree(tmp_path, "app.scope", procs=f"{os.getpid()}\n", controllers="memory pids")
    place = found(own, own)
    assert isinstance(place, Place)
    assert place.missing == ["cpu"]
    assert place.kind == "cgroup v2, without cpu"


def test_a_process_that_has_moved_itself_finds_the_same_place_again(tmp_path: Path) -> None:
    service = tree(tmp_path, "aether.service", enabled="memory cpu pids")
    own = tree(tmp_path, "aether.service/aether-1-2-platform", procs=f"{os.getpid()}\n")
    assert only(found(service, own)) == service


def test_a_container_that_runs_others_too_has_no_place(tmp_path: Path) -> None:
    own = tree(tmp_path, "container", procs=f"1\n{os.getpid()}\n")
    place = found(own, own)
    assert isinstance(place, NoPlace)
    assert "other processes share" in place.why
    assert place.unified


def test_without_any_hierarchy_there_is_no_place() -> None:
    place = find_place([])
    assert place == NoPlace("no control groups are to be seen here")


def test_version_1_is_taken_where_it_has_the_controllers(tmp_path: Path) -> None:
    """As systemd mounts them in its hybrid mode: version 2 is there, and has nothing of what we want."""
    unified = tree(tmp_path / "unified", "", controllers="hugetlb")
    known = [Hierarchy(frozenset(), unified, unified)]
    for names in (["memory"], ["cpu", "cpuacct"], ["pids"]):
        own = tmp_path / ",".join(names)
        own.mkdir()
        (own / "cgroup.procs").touch()
        known.append(Hierarchy(frozenset(names), own, own))
    place = find_place(known)
    assert isinstance(place, Place)
    assert place.kind == "cgroup v1"
    assert place.parents["cpu"] == tmp_path / "cpu,cpuacct"


@pytest.mark.parametrize(
    ("root", "path", "own"),
    [("/", "/a/b", "a/b"), ("/docker/x", "/docker/x", ""), ("/docker/x", "/docker/x/y", "y")],
)
def test_the_own_group_is_found_below_what_is_mounted(tmp_path: Path, root: str, path: str, own: str) -> None:
    mount = tmp_path / "a mount"
    (mount / own).mkdir(parents=True)
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(f"4:memory:{path}\n2:cpu,cpuacct:/elsewhere\n1:name=systemd:/\n0::/gone\n")
    escaped = str(mount).replace(" ", "\\040")
    (proc / "mountinfo").write_text(
        f"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        f"35 31 0:32 {root} {escaped} rw,relatime shared:9 - cgroup cgroup rw,memory\n"
        f"36 31 0:33 / {escaped} rw,relatime - cgroup cgroup rw,cpuacct,cpu\n"
        f"37 31 0:37 / {escaped} rw,relatime - cgroup cgroup rw,name=systemd\n"
        f"41 31 0:38 / {escaped} rw,relatime - cgroup2 cgroup2 rw\n"
    )
    [memory] = [h for h in hierarchies(proc) if "memory" in h.controllers]
    assert (memory.mount, memory.own) == (mount, mount / own)
    assert not [h for h in hierarchies(proc) if h.unified or "cpu" in h.controllers], "they are out of sight"


def test_a_group_outside_of_the_own_namespace_is_none(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("0::/../other\n")
    (tmp_path / "mountinfo").write_text(f"41 31 0:38 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    assert hierarchies(tmp_path) == []
    assert hierarchies(tmp_path / "no proc here") == []
