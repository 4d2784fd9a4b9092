import platform

import pytest

from aether.images import tsc

only_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86 has this counter")


@only_x86
def test_two_measurements_agree():
    one, two = tsc.measure(), tsc.measure()
    assert one == pytest.approx(two, rel=2e-4)
    assert 500_000 < one < 10_000_000


@only_x86
def test_what_the_kernel_says_is_taken(monkeypatch, tmp_path):
    (tmp_path / "khz").write_text("2596136\n")
    monkeypatch.setattr(tsc, "KERNEL_SAYS", tmp_path / "khz")
    tsc.tsc_khz.cache_clear()
    try:
        assert tsc.tsc_khz() == 2596136
    finally:
        tsc.tsc_khz.cache_clear()


def test_other_processors_have_none(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    tsc.tsc_khz.cache_clear()
    try:
        assert tsc.tsc_khz() == 0
    finally:
        tsc.tsc_khz.cache_clear()
