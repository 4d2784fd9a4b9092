"""One group: the processes of an instance, held to bounds."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from aether.vmm.cgroups.bounds import Bounds
from aether.vmm.cgroups.version import Setting, Version

PROCS = "cgroup.procs"
KILL_WITHIN_S = 10.0

_ENTER = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@"'
"""The shell writes itself into each group, then becomes the command: nothing of it runs outside."""


class Group:
    """A directory per controller; with version 2 they are one and the same."""

    def __init__(self, version: Version, directories: Mapping[str, Path]) -> None:
        self._version = version
        self.directories = dict(directories)

    @property
    def paths(self) -> list[Path]:
        """The directories, each once."""
        return list(dict.fromkeys(self.directories.values()))

    def make(self, bounds: Bounds) -> None:
        """Raises OSError, and leaves nothing then."""
        try:
            for path in self.paths:
                path.mkdir()
            apply(self._version.settings(bounds), self.directories)
        except BaseException:
            self.remove()
            raise

    def entering(self, command: Sequence[str]) -> list[str]:
        """A command whose process joins the group, and then becomes `command`."""
        return ["sh", "-c", _ENTER, "sh", *(str(path / PROCS) for path in self.paths), "--", *command]

    def killed_because(self) -> str | None:
        """Why the kernel killed in it, in words that follow "killed"; None if it did not."""
        memory = self.directories.get("memory")
        if memory is None or not self._version.kills_for_memory(memory):
            return None
        if self._version.reached_limit(memory):
            return "by the host: over its memory limit"
        return "by the host: it had no memory left"

    def processes(self) -> set[int]:
        found: set[int] = set()
        for path in self.paths:
            with contextlib.suppress(FileNotFoundError):
                found |= {int(pid) for pid in (path / PROCS).read_text().split()}
        return found

    def kill(self) -> None:
        """End what runs in it, and wait until that has. Blocks: for leftovers at a start."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                try:
                    if pid in self.processes():
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                        select.select([pidfd], [], [], KILL_WITHIN_S)
                finally:
                    os.close(pidfd)

    def remove(self) -> bool:
        """Idempotent. False when something runs in it still: then it stays, for a later sweep."""
        return all([remove(path) for path in self.paths])  # noqa: C419 - every one of them is tried


def remove(path: Path) -> bool:
    """An empty group; whether it is gone."""
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    return True


def apply(settings: Iterable[Setting], directories: Mapping[str, Path]) -> None:
    """Write those whose controller is there. Raises OSError, naming the file."""
    for setting in settings:
        directory = directories.get(setting.controller)
        if directory is None:
            continue
        try:
            (directory / setting.file).write_text(setting.value)
        except OSError:
            if not setting.optional:
                raise
