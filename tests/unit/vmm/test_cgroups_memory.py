"""How much memory there is: the least of what the host has and what groups around us allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from aether.vmm.cgroups import HostMemory
from aether.vmm.cgroups.own import Hierarchy

MIB = 1 << 20
V1_UNLIMITED = "9223372036854771712"


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    file = tmp_path / "meminfo"
    file.write_text(f"MemTotal: {4096 * 1024} kB\nMemFree: 1 kB\nMemAvailable: {3000 * 1024} kB\n")
    return file


def v2(group: Path, limit: str, used_mib: int = 0, cache_mib: int = 0, high: str = "max") -> Path:
    group.mkdir(exist_ok=True)
    (group / "memory.max").write_text(limit)
    (group / "memory.high").write_text(high)
    (group / "memory.current").write_text(str(used_mib * MIB))
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {cache_mib * MIB}\nactive_file 0\n")
    return group


def v1(group: Path, limit: str, used_mib: int = 0, cache_mib: int = 0) -> Path:
    group.mkdir(exist_ok=True)
    (group / "memory.limit_in_bytes").write_text(limit)
    (group / "memory.usage_in_bytes").write_text(str(used_mib * MIB))
    (group / "memory.stat").write_text(f"inactive_file 0\ntotal_inactive_file {cache_mib * MIB}\n")
    return group


def test_this_host_has_memory() -> None:
    total, available = HostMemory()()
    assert 0 < available <= total


def test_without_limits_it_is_the_hosts(tmp_path: Path, meminfo: Path) -> None:
    own = v2(tmp_path / "a", "max")
    assert HostMemory([Hierarchy(frozenset(), tmp_path, own)], meminfo)() == (4096 * MIB, 3000 * MIB)
    own = v1(tmp_path / "b", V1_UNLIMITED)
    assert HostMemory([Hierarchy(frozenset({"memory"}), own, own)], meminfo)() == (4096 * MIB, 3000 * MIB)


def test_a_containers_limit_counts_and_its_page_cache_does_not(tmp_path: Path, meminfo: Path) -> None:
    own = v1(tmp_path / "a", str(1024 * MIB), used_mib=700, cache_mib=300)
    memory = HostMemory([Hierarchy(frozenset({"memory"}), own, own)], meminfo)
    assert memory() == (1024 * MIB, 624 * MIB)
    own = v2(tmp_path / "b", str(1024 * MIB), used_mib=700, cache_mib=300)
    assert HostMemory([Hierarchy(frozenset(), own, own)], meminfo)() == (1024 * MIB, 624 * MIB)


def test_the_tightest_on_the_way_up_holds(tmp_path: Path, meminfo: Path) -> None:
    outer = v2(tmp_path / "a", str(2048 * MIB), used_mib=1900)
    own = v2(outer / "b", str(512 * MIB), used_mib=100)
    assert HostMemory([Hierarchy(frozenset(), outer, own)], meminfo)() == (512 * MIB, 148 * MIB)


def test_where_a_group_is_throttled_it_is_full(tmp_path: Path, meminfo: Path) -> None:
    own = v2(tmp_path / "a", "max", used_mib=900, high=str(800 * MIB))
    assert HostMemory([Hierarchy(frozenset(), own, own)], meminfo)() == (800 * MIB, 0)


def test_a_limit_that_changes_is_seen(tmp_path: Path, meminfo: Path) -> None:
    own = v2(tmp_path / "a", "max", used_mib=100)
    memory = HostMemory([Hierarchy(frozenset(), own, own)], meminfo)
    assert memory()[0] == 4096 * MIB
    v2(own, str(256 * MIB), used_mib=100)
    assert memory() == (256 * MIB, 156 * MIB)
