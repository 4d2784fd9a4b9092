"""What the doctor says of memory and limits: one line, and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aether.cli.host_checks import check_limits, check_memory
from aether.images.probe import Level
from aether.vmm.cgroups import NoPlace, Place
from aether.vmm.cgroups.v2 import V2

MIB = 1 << 20
HERE = Path("/sys/fs/cgroup/a")


def test_memory_is_what_instances_could_have() -> None:
    check = check_memory(lambda: (8192 * MIB, 5000 * MIB))
    assert (check.level, check.detail) == (Level.OK, "5000 MiB available of 8192, 512 kept for the host")
    assert check_memory(lambda: (1024 * MIB, 900 * MIB)).level is Level.WARN


def test_all_limits_are_fine() -> None:
    check = check_limits(Place(V2(), dict.fromkeys(("memory", "cpu", "pids"), HERE)))
    assert (check.level, check.fix) == (Level.OK, "")


@pytest.mark.parametrize(("user", "fix"), [(1000, "user@.service.d"), (0, "writable /sys/fs/cgroup")])
def test_a_controller_that_is_not_delegated_is_named(
    monkeypatch: pytest.MonkeyPatch, user: int, fix: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    check = check_limits(Place(V2(), dict.fromkeys(("memory", "pids"), HERE)))
    assert check.level is Level.WARN
    assert check.detail == "cgroup v2 holds microVMs to memory and pids, but not cpu"
    assert fix in check.fix


@pytest.mark.parametrize(
    ("user", "unified", "fix"),
    [(1000, True, "systemd-run"), (1000, False, "as root"), (0, True, "writable"), (0, False, "writable")],
)
def test_who_can_have_none_is_told_how_to(
    monkeypatch: pytest.MonkeyPatch, user: int, unified: bool, fix: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    check = check_limits(NoPlace("this user may not", unified))
    assert check.level is Level.WARN
    assert "this user may not" in check.detail
    assert fix in check.fix
