"""What a guest's console tells of its kernel's end."""

from __future__ import annotations

import pytest

from aether.ports.vmm import EndReason
from aether.vmm.qemu.unexplained import panicked


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("System is deadlocked on memory", EndReason.OUT_OF_MEMORY),
        ("Out of memory: system-wide panic_on_oom is enabled", EndReason.OUT_OF_MEMORY),
        ("VFS: Unable to mount root fs on unknown-block(0,0)", EndReason.KILLED),
    ],
)
def test_a_panic_is_told_with_what_the_kernel_said(said, reason):
    console = (
        f"[    0.4] PCI: none\r\n[    1.070767] Kernel panic - not syncing: {said}\r\n[    1.1] CPU: 0\r\n"
    )
    end = panicked(console)
    assert (end.reason, end.detail) == (reason, f"the guest's kernel stopped: {said}")


@pytest.mark.parametrize("console", ["", "[stdout] Kernel panic - not syncing: Out of memory\n"])
def test_a_function_that_prints_of_panics_is_no_panic(console):
    assert panicked(console) is None
