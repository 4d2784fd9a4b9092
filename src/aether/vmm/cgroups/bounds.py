"""What a group holds its processes to."""

from __future__ import annotations

from dataclasses import dataclass

CONTROLLERS = ("memory", "cpu", "pids")
"""What we want of a host, by the kernel's names."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one group. Memory is all that the kernel counts for it, page cache and its own included."""

    memory_bytes: int
    """One that needs more, and has nothing left to give back, is killed by the kernel."""
    cpus: float
    """Processor time per time, in any 100 ms: 1.5 is one and a half processors."""
    share: int
    """Of the processors when they are short, beside the other groups': in virtual CPUs."""
    pids: int
    """Processes and threads at once."""
