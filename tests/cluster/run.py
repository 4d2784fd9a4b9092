"""What one run is known by, and what is left of runs that were killed."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.shell import run

NAME = re.compile(r"aec[0-9a-f]{4}")
"""Of a run: its directory and its bridge. What lies in its namespaces goes with them."""


@dataclass(frozen=True)
class Run:
    """One start of a cluster. The name is short: sockets lie below `directory`."""

    name: str
    directory: Path


@contextmanager
def new_run() -> Iterator[Run]:
    """A name that no other run has, locked for as long as this process lives, and swept in the end."""
    sweep()
    while True:
        run_ = Run(name := f"aec{secrets.token_hex(2)}", _parent() / name)
        with suppress(FileExistsError):
            run_.directory.mkdir(mode=0o755)
            break
    with (run_.directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield run_
        finally:
            remove(run_)


def sweep() -> list[str]:
    """Remove what killed runs left; their names."""
    swept = []
    for directory in _parent().glob("aec*"):
        if NAME.fullmatch(directory.name) and directory.lstat().st_uid == os.geteuid() and _dead(directory):
            remove(Run(directory.name, directory))
            swept.append(directory.name)
    return swept


def remove(run_: Run) -> None:
    """Bridge, links and directory; processes and namespaces have gone, or go right now."""
    for link in json.loads(run("ip -json link show") or "[]"):
        if link["ifname"].startswith(run_.name):
            run(f"ip link delete {link['ifname']}", may_fail=True)
    shutil.rmtree(run_.directory, ignore_errors=True)


def _dead(directory: Path) -> bool:
    """Nobody holds its lock."""
    try:
        with (directory / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Between its directory and its lock, or not a run at all.
        return False
    return True


def _parent() -> Path:
    return Path(tempfile.gettempdir())
