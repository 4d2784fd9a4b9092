"""Settings of the QEMU driver."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aether.ports.vmm import GuestKernel


@dataclass(frozen=True, slots=True)
class QemuConfig:
    """Frozen, as read at the edge. Ranges of two processes on one host must not overlap."""

    kernel: GuestKernel
    """World-readable files when the driver runs as root: QEMU opens them after giving root up."""
    run_dir: Path
    """For this process alone. Best on the filesystem that snapshots go to: a prepared machine's
    memory is a file here, and moved there."""
    tsc_khz: int
    """The host's TSC rate. Without it, boots under TCG hang at random: calibration can fail."""
    accel: str = "tcg"
    """`kvm` only where a probe boot proved it."""
    binary: str = "qemu-system-x86_64"
    embedded: bool = True
    """Machines end with this process. If not, they outlive it, and the next one adopts them."""
    uid_base: int = 64000
    """Started by root, each machine runs as a user of its own from here on; all in group `uid_base`."""
    uid_count: int = 1000
    first_port: int = 20000
    """Ports on 127.0.0.1 that lead into machines. Below the kernel's own range (from 32768) and the
    instance proxies' (from 30000)."""
    last_port: int = 29999
    boot_watchdog_s: float = 20.0
    """A boot without a sign of life for so long is killed and tried once more. The agent's hello
    comes after some 2 s under TCG on an idle machine."""
    silence_watchdog_s: float = 10.0
    """After its hello a booting guest is pinged while the function gets ready; one that does not
    answer for so long hangs, and is killed and tried once more. A slow function is none of this."""
    restore_watchdog_s: float = 5.0
    adopt_watchdog_s: float = 15.0
    """A running machine that an earlier process started and that gives no sign of life for so long is ended.
    Longer than for a restore: on a busy host others run beside it."""
    translation_cache_mib: int = 128
    """Bound on TCG's translated code; QEMU's own default is up to 1 GiB. 64 is measured neutral."""
