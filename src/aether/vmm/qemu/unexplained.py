"""The end of a machine that was not asked for, and of which the agent said nothing."""

from __future__ import annotations

import re

from aether.ports.vmm import End, EndReason
from aether.vmm.cgroups import Group
from aether.vmm.console import Console
from aether.vmm.qemu.process import Process

_PANIC = re.compile(r"^(?:\[ *[0-9.]+\] )?Kernel panic - not syncing: ([^\r\n]*)", re.MULTILINE)
"""At a line's beginning: what the function prints is marked there."""
_MEMORY = "memory"
"""In what the kernel says of a guest too small for it: `System is deadlocked on memory`, `Out of memory`."""


def unexplained(process: Process, console: Console, group: Group | None) -> End:
    """What the host's control group, the guest's console, or else QEMU itself tells."""
    if group is not None and (because := group.killed_because()) is not None:
        return End(EndReason.KILLED, because)
    if (end := panicked(console.text())) is not None:
        return end
    code, errors = process.returncode, process.errors.tail(3)
    status = "" if code is None else f" with code {code}" if code >= 0 else f" by signal {-code}"
    return End(EndReason.KILLED, f"QEMU ended{status}" + (f": {errors}" if errors else ""))


def panicked(console: str) -> End | None:
    """A kernel that panics reboots, which ends QEMU as if all were well."""
    panic = _PANIC.search(console)
    if panic is None:
        return None
    reason = EndReason.OUT_OF_MEMORY if _MEMORY in panic[1].lower() else EndReason.KILLED
    return End(reason, f"the guest's kernel stopped: {panic[1].strip()}")
