"""What `aether doctor` says of memory and control groups."""

from __future__ import annotations

import os
from collections.abc import Callable

from aether.domain.memory import MIB
from aether.images.probe import Check, Level
from aether.vmm.cgroups import CONTROLLERS, HostMemory, NoPlace, Place, find_place
from aether.worker.capacity import RESERVE

WANTED_MIB = 2048

START_ALONE = (
    "start it by: systemd-run --user --scope -p Delegate=yes aether up; a service: see docs/deploy.md"
)
"""What gives an ordinary user on systemd a group to make others in."""
START_AS_ROOT = "start it as root, which each microVM gives up, or boot the host with cgroup v2"
DELEGATE = (
    "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu memory pids\\n' | "
    "sudo tee /etc/systemd/system/user@.service.d/delegate.conf, then restart the host"
)
WRITABLE = "give the container a writable /sys/fs/cgroup, and start nothing else in it; see docs/deploy.md"


def host_checks() -> list[Callable[[], Check]]:
    return [check_memory, check_limits]


def check_memory(memory: Callable[[], tuple[int, int]] | None = None) -> Check:
    """By what instances could have: a container's own limit counts."""
    total, available = (memory or HostMemory())()
    detail = f"{available // MIB} MiB available of {total // MIB}, {RESERVE // MIB} kept for the host"
    if available < WANTED_MIB * MIB:
        fix = f"a few instances at a time; {WANTED_MIB} MiB is ample"
        return Check("memory", Level.WARN, detail, fix)
    return Check("memory", Level.OK, detail)


def check_limits(place: Place | NoPlace | None = None) -> Check:
    """As a platform started from here, by this user, would have them."""
    found = place or find_place()
    if isinstance(found, NoPlace):
        detail = f"nothing holds microVMs to their memory and processors: {found.why}"
        return Check("limits", Level.WARN, detail, _way_out(found))
    held = " and ".join(name for name in CONTROLLERS if name not in found.missing)
    if found.missing:
        detail = f"{found.version.name} holds microVMs to {held}, but not {' and '.join(found.missing)}"
        return Check("limits", Level.WARN, detail, WRITABLE if os.geteuid() == 0 else DELEGATE)
    return Check("limits", Level.OK, f"{found.version.name} holds microVMs to memory, cpu and pids")


def _way_out(found: NoPlace) -> str:
    if os.geteuid() == 0:
        return WRITABLE
    return START_ALONE if found.unified else START_AS_ROOT
