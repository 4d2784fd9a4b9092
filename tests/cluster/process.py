"""A process of the cluster: started, watched, stopped, with a log of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOOK_EVERY_S = 0.01
STOP_WITHIN_S = 60.0
LAST_LINES = 30
LISTENS = "0A"
"""A socket's state in /proc/net/tcp. Source: include/net/tcp_states.h."""


class Process:
    """It dies with whoever started it: start from the main thread, which lives as long as the process.

    `inside` puts the command where it is to run, and `found` says which process it became there.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str],
        directory: Path | None = None,
        inside: Callable[[Sequence[str]], list[str]] = list,
        found: Callable[[int], int] = lambda pid: pid,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log_file = log
        self.environment = environment
        self._directory = directory
        self._inside = inside
        self._found = found
        self._started: subprocess.Popen[bytes] | None = None
        self._log_from = 0
        self.pid = 0

    @property
    def runs(self) -> bool:
        return self._started is not None and self._started.poll() is None

    def start(self) -> None:
        """Returns when the process is there, which needn't be up."""
        assert not self.runs, f"{self.name} runs already"
        with self.log_file.open("ab") as log:
            self._log_from = log.tell()
            self._started = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self._inside(self.command)],
                env=self.environment,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for who started the cluster.
            )
        self.pid = self._found(self._started.pid)

    def log(self) -> str:
        """What it has said since its last start."""
        with self.log_file.open("rb") as file:
            file.seek(self._log_from)
            return file.read().decode(errors="replace")

    def send(self, number: int) -> None:
        """To the process itself. One that is gone needs none."""
        if self.runs:
            os.kill(self.pid, number)

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)
        # Who waits for it elsewhere has stopped with it.
        assert self._started is not None
        self._started.send_signal(signal.SIGCONT)

    async def said(self, text: str, within_s: float) -> None:
        """Wait for a word in its log. Raises RuntimeError when it ends before, or doesn't say it."""
        try:
            async with asyncio.timeout(within_s):
                while text not in self.log():
                    if not self.runs:
                        raise RuntimeError(f"{self.name} ended: {self.last_lines()}")
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise RuntimeError(
                f"{self.name} had not said {text!r} in {within_s} s: {self.last_lines()}"
            ) from None

    async def stop(self, within_s: float = STOP_WITHIN_S) -> int:
        """SIGTERM, and its exit code. Raises RuntimeError (and kills it) when it doesn't end in time."""
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(within_s):
                return await self.ended()
        except TimeoutError:
            await self.kill()
            raise RuntimeError(f"{self.name} had not ended {within_s} s after SIGTERM") from None

    async def ended(self) -> int:
        """Its exit code, when it has one."""
        assert self._started is not None
        while self._started.poll() is None:
            await asyncio.sleep(LOOK_EVERY_S)
        return self._started.returncode

    def end(self) -> None:
        """At once, and without waiting for the loop."""
        if self._started is not None and self.runs:
            self.send(signal.SIGKILL)
            self._started.kill()
            self._started.wait()

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        await self.ended()

    def listeners(self, port: int) -> list[int]:
        """Ids of it and its children that hold a socket which takes connections on that port."""
        family = [self.pid, *map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]
        inodes = {
            fields[9]
            for fields in map(str.split, Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines())
            if fields[3] == LISTENS and fields[1].endswith(f":{port:04X}")
        }
        return [pid for pid in family if inodes & _sockets(pid)]

    def last_lines(self) -> str:
        return "\n".join(self.log().splitlines()[-LAST_LINES:])


def _sockets(pid: int) -> set[str]:
    """Inodes of its sockets."""
    links = (str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir())
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
