"""Control groups of this host, with small processes in them: bounds are in force, and nothing stays."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.vmm.conftest import groups_of_ours

from aether.vmm.cgroups import Bounds, Group, Groups, Place

MIB = 1 << 20
BOUNDS = Bounds(memory_bytes=64 * MIB, cpus=1.5, share=1, pids=20)


@pytest.fixture
def run_dir(tmp_path: Path, place: Place) -> Iterator[Path]:
    before = groups_of_ours(place)
    directory = tmp_path / "run"
    directory.mkdir()
    yield directory
    assert groups_of_ours(place) == before
    assert list(directory.iterdir()) == []


@pytest.fixture
def groups(place: Place, run_dir: Path) -> Iterator[Groups]:
    ours = Groups(place, run_dir)
    yield ours
    ours.close()


@pytest.fixture
def group(groups: Groups) -> Iterator[Group]:
    made = groups.make("inst-1", BOUNDS)
    yield made
    assert made.remove()
    assert not [path for path in made.paths if path.exists()]


def run(group: Group, program: str) -> subprocess.CompletedProcess[str]:
    command = group.entering([sys.executable, "-c", textwrap.dedent(program)])
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def needs(place: Place, controller: str) -> None:
    if controller in place.missing:
        pytest.skip(f"this host gives no {controller} controller: {place.kind}")


def value(group: Group, controller: str, file: str) -> str:
    return (group.directories[controller] / file).read_text().strip()


def test_bounds_are_what_the_kernel_says_they_are(place: Place, group: Group) -> None:
    if place.version.name == "cgroup v1":
        expected = {
            ("memory", "memory.limit_in_bytes"): str(64 * MIB),
            ("cpu", "cpu.cfs_quota_us"): "150000",
            ("cpu", "cpu.cfs_period_us"): "100000",
            ("cpu", "cpu.shares"): "1024",
            ("pids", "pids.max"): "20",
        }
    else:
        expected = {
            ("memory", "memory.max"): str(64 * MIB),
            ("cpu", "cpu.max"): "150000 100000",
            ("cpu", "cpu.weight"): "100",
            ("pids", "pids.max"): "20",
        }
    there = {key: want for key, want in expected.items() if key[0] not in place.missing}
    assert {key: value(group, *key) for key in there} == there


def test_a_process_is_in_the_group_before_it_is_what_was_asked_for(place: Place, group: Group) -> None:
    ran = run(group, "print(open('/proc/self/cgroup').read())")
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in ran.stdout.splitlines() if line.endswith("/inst-1")]
    assert len(lines) == len(group.paths)


def test_what_allocates_beyond_its_memory_is_killed_and_nothing_else_is(place: Place, group: Group) -> None:
    needs(place, "memory")
    assert group.killed_because() is None
    ran = run(group, "held = [bytearray(1 << 20) for _ in range(300)]; print('held')")
    assert (ran.returncode, ran.stdout) == (-signal.SIGKILL, "")
    assert group.killed_because() == "by the host: over its memory limit"


def test_what_others_kill_was_not_over_its_memory(group: Group) -> None:
    ran = run(group, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert ran.returncode == -signal.SIGKILL
    assert group.killed_because() is None


def test_threads_and_processes_are_bounded(place: Place, group: Group) -> None:
    needs(place, "pids")
    program = """
        import threading, time
        started = 0
        try:
            for _ in range(100):
                threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
                started += 1
        except RuntimeError:
            print(started)
    """
    assert run(group, program).stdout.strip() == "19"


def test_processor_time_is_bounded(place: Place, groups: Groups) -> None:
    needs(place, "cpu")
    group = groups.make("inst-2", replace(BOUNDS, cpus=0.2))
    program = """
        import time
        began_s, before_s = time.monotonic(), time.process_time()
        while time.monotonic() < began_s + 1.5:
            pass
        print((time.process_time() - before_s) / (time.monotonic() - began_s))
    """
    ran = run(group, program)
    assert float(ran.stdout) < 0.35
    assert group.remove()


def test_two_platforms_leave_each_others_groups_alone(place: Place, groups: Groups, tmp_path: Path) -> None:
    other_dir = tmp_path / "other"
    other_dir.mkdir()
    other = Groups(place, other_dir)
    theirs = other.make("inst-1", BOUNDS)
    assert groups.sweep(keep=set()) == []
    assert all(path.is_dir() for path in theirs.paths)
    theirs.remove()
    other.close()


def test_what_a_killed_platform_left_is_swept_at_the_next_start(place: Place, run_dir: Path) -> None:
    pids = killed_with(place, run_dir, ["inst-1", "inst-2"])
    after = Groups(place, run_dir)
    assert after.find("inst-1", pids["inst-1"]) is not None
    assert after.sweep(keep={"inst-1"}) == ["inst-2"]
    assert is_running(pids["inst-1"])
    assert not is_running(pids["inst-2"])
    adopted = after.find("inst-1", pids["inst-1"])
    assert adopted is not None
    assert after.find("inst-2", pids["inst-2"]) is None
    assert after.sweep(keep=set()) == ["inst-1"]
    assert not is_running(pids["inst-1"])
    after.close()


def test_what_was_left_in_another_place_is_swept_too(place: Place, run_dir: Path, groups: Groups) -> None:
    """The next start may run in another session or service than the one that was killed."""
    if place.version.name == "cgroup v2":
        pytest.skip("its groups with processes can't hold others, so there is no second place here")
    below = groups.make("elsewhere", BOUNDS)
    elsewhere = replace(place, parents=below.directories, vacate=False)
    other_dir = run_dir.with_name("other")
    other_dir.mkdir()
    pids = killed_with(elsewhere, other_dir, ["inst-1"])
    after = Groups(place, other_dir)
    assert after.find("inst-1", pids["inst-1"]) is not None
    assert after.sweep(keep=set()) == ["inst-1"]
    after.close()
    assert list(other_dir.iterdir()) == []
    assert below.remove()


def test_machines_that_run_on_keep_their_group(place: Place, run_dir: Path) -> None:
    [pid] = killed_with(place, run_dir, ["inst-1"]).values()
    between = Groups(place, run_dir)
    between.close()
    assert is_running(pid)
    after = Groups(place, run_dir)
    assert after.find("inst-1", pid) is not None
    assert after.sweep(keep=set()) == ["inst-1"]
    after.close()


def test_a_group_around_all_that_was_tidied_away_is_made_again(groups: Groups) -> None:
    first = groups.make("inst-1", BOUNDS)
    base = [path.parent for path in first.paths]
    first.remove()
    for path in base:
        path.rmdir()
    again = groups.make("inst-2", BOUNDS)
    assert run(again, "print('ran')").stdout == "ran\n"
    assert again.remove()


def test_a_group_that_can_not_be_joined_keeps_its_command_from_running(groups: Groups) -> None:
    group = groups.make("inst-1", BOUNDS)
    group.remove()
    ran = run(group, "print('ran')")
    assert ran.stdout == ""
    assert ran.returncode == 125


def test_a_place_that_can_not_be_taken_after_all_leaves_nothing(place: Place, run_dir: Path) -> None:
    gone = replace(place, parents={name: path / "gone" for name, path in place.parents.items()})
    with pytest.raises(FileNotFoundError):
        Groups(gone, run_dir)
    assert list(run_dir.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_without_delegation_is_told_why_there_is_none() -> None:
    program = """
        import os
        from aether.vmm.cgroups import find_place
        os.setgroups([])
        os.setresgid(64999, 64999, 64999)
        os.setresuid(64999, 64999, 64999)
        print(find_place())
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "may not make control groups in" in ran.stdout, ran.stderr


def killed_with(place: Place, run_dir: Path, names: list[str]) -> dict[str, int]:
    """A process makes groups, starts something in each, and is killed; the process ids by name."""
    program = """
        import json, os, pickle, signal, subprocess, sys
        from aether.vmm.cgroups import Groups
        place, run_dir, names, bounds = pickle.load(sys.stdin.buffer)
        groups = Groups(place, run_dir)
        pids = {}
        for name in names:
            command = groups.make(name, bounds).entering(["sh", "-c", "echo; exec sleep 600 > /dev/null"])
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            child.stdout.readline()
            pids[name] = child.pid
        print(json.dumps(pids), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        input=pickle.dumps((place, run_dir, names, BOUNDS)),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()
    return json.loads(ran.stdout)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
