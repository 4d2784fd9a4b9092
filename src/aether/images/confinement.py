"""What a process that reads a stranger's bytes gives up first."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG = 1


def confine(*, memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    """Bound this process and its children, leave the network, and die with the parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    leave_network(libc)
    # After the namespaces: changing credentials clears it.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for kind, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (allowed, allowed))


def leave_network(libc: ctypes.CDLL) -> bool:
    """Move to an empty network namespace where the host allows it; whether it did.

    A failure half-way would leave a process that may write nothing, so a child tries first.
    """
    trial = os.fork()
    if trial == 0:
        os._exit(0 if _unshare(libc) else 1)
    _, status = os.waitpid(trial, 0)
    return os.waitstatus_to_exitcode(status) == 0 and _unshare(libc)


def _unshare(libc: ctypes.CDLL) -> bool:
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        return bool(libc.unshare(_CLONE_NEWNET) == 0)
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    try:
        # Identity maps: files made here stay ours.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError:
        return False
    return True
