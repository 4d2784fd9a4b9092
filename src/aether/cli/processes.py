"""Several processes that do the same on one port: started, watched, replaced and ended by another one.

They are forks of that one, which has no event loop and opens no store: what it has imported they share. When
it is killed they get SIGTERM from the kernel, and end as if they had been asked to.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from aether.cli.ending import end_with
from aether.cli.failures import ExitCode
from aether.cli.output import say
from aether.http import PortShare, Seat

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
"""Before one that ended by itself is replaced; doubled each time, until one has lived for `_LIVED_LONG_S`."""
_LIVED_LONG_S = 30.0
_READY = signal.SIGUSR1
_HEARD = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, _READY})
_PR_SET_PDEATHSIG = 1

Work = Callable[[Seat], int]
"""What a process does, after it has told by `tell_ready` that it is up: its exit code."""


def tell_ready() -> None:
    """For the processes: whoever has started this one hears of it."""
    os.kill(os.getppid(), _READY)


@dataclass(slots=True)
class _Process:
    index: int
    pid: int = 0
    started_s: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    due_s: float = 0.0
    """When it is to be started, while it has no pid."""


class Processes:
    """`run` is the life of all of them."""

    def __init__(
        self,
        share: PortShare,
        work: Work,
        *,
        on_ready: Callable[[], None],
        on_end: Callable[[int], None] = lambda _index: None,
    ) -> None:
        """`on_ready`: all are up for the first time. `on_end`: that one has ended, others may follow it."""
        self._share = share
        self._work = work
        self._on_ready = on_ready
        self._on_end = on_end
        self._processes = [_Process(index) for index in range(share.processes)]
        self._announced = False
        self._asked = 0
        self._code: int = ExitCode.OK

    def run(self) -> int:
        """Until SIGTERM or SIGINT, and all have ended. The second one hurries them, the third kills them.

        One that ends before any was ready has told why: then all do, and its exit code is that of all.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        try:
            while not (self._asked and not any(p.pid for p in self._processes)):
                self._start_those_due()
                heard = signal.sigtimedwait(_HEARD, self._until_next_s())
                if heard is not None:
                    self._hear(heard.si_signo)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self._code

    def _hear(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == _READY:
            if not self._announced and all(self._share.ready[p.index] for p in self._processes):
                self._announced = True
                self._on_ready()
        else:
            self._stop()

    def _stop(self) -> None:
        self._asked += 1
        self._share.end(at_once=self._asked > 1)
        if self._asked == 1:
            say("Stopping: running requests may end first. Once more to not wait for them.")
        else:
            self._code = ExitCode.INTERRUPTED
            say("Not waiting any longer.")
        self._send(signal.SIGTERM if self._asked <= 2 else signal.SIGKILL)  # noqa: PLR2004 - as said

    def _send(self, number: int) -> None:
        for process in self._processes:
            if process.pid:
                os.kill(process.pid, number)

    def _reap(self) -> None:
        for process in self._processes:
            if process.pid:
                pid, status = os.waitpid(process.pid, os.WNOHANG)
                if pid:
                    self._ended(process, os.waitstatus_to_exitcode(status))

    def _ended(self, process: _Process, code: int) -> None:
        was_ready = bool(self._share.ready[process.index])
        process.pid = 0
        self._share.vacate(process.index)
        self._on_end(process.index)
        if self._asked:
            self._code = self._code or max(0, code)
        elif not was_ready and not self._announced:
            self._code = code if code > 0 else ExitCode.INTERNAL
            self._asked = 1
            self._send(signal.SIGTERM)
        else:
            self._replace(process, code)

    def _replace(self, process: _Process, code: int) -> None:
        now_s = time.monotonic()
        if now_s - process.started_s >= _LIVED_LONG_S:
            process.pause_s = FIRST_PAUSE_S
        process.due_s = now_s + process.pause_s
        log.error("process ended, and is replaced", process=process.index, code=code, in_s=process.pause_s)
        process.pause_s = min(LONGEST_PAUSE_S, 2 * process.pause_s)

    def _start_those_due(self) -> None:
        now_s = time.monotonic()
        for process in self._processes:
            if not process.pid and not self._asked and process.due_s <= now_s:
                process.started_s = now_s
                process.pid = self._fork(process.index)

    def _until_next_s(self) -> float:
        now_s = time.monotonic()
        waits = [p.due_s - now_s for p in self._processes if not p.pid and not self._asked]
        return max(0.0, min(waits, default=3600.0))

    def _fork(self, index: int) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        code: int = ExitCode.INTERNAL
        try:
            _settle_in(parent)
            structlog.contextvars.bind_contextvars(process=index)
            code = self._work(Seat(self._share, index))
        except BaseException as error:  # noqa: BLE001 - it must not get into the other process's frames
            code = end_with(error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _settle_in(parent: int) -> None:
    """In a new process: signals come from its parent alone, the end of that one included."""
    os.setpgid(0, 0)  # Ctrl-C is for the parent
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(ExitCode.OK))  # until there is a loop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
    if os.getppid() != parent:
        os._exit(ExitCode.OK)
