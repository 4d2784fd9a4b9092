"""How long a process waited for a processor, by the kernel's own account."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")
NS = 1e-9


def starved_s(pid: int, proc: Path = PROC) -> float:
    """Of the thread that waited longest; 0.0 when the process is gone or the kernel keeps no account.

    `schedstat` of a thread: nanoseconds that it ran, that it was ready to and waited, and how often it ran.
    """
    longest_ns = 0
    for task in _tasks(proc / str(pid) / "task"):
        try:
            longest_ns = max(longest_ns, int((task / "schedstat").read_text().split()[1]))
        except (OSError, IndexError, ValueError):
            continue
    return longest_ns * NS


def _tasks(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []
