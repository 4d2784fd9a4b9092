"""A QEMU process, ours or an earlier process's, and the news of its end.

Watched by a pidfd in the event loop: no thread, no task, no signal handler, and the process id
cannot come to mean another process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from aether.vmm.console import Console
from aether.vmm.qemu.config import QemuConfig

ERROR_OUTPUT_BYTES = 8 * 1024
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def privilege_prefix(config: QemuConfig, uid: int | None, *, dies_with_us: bool) -> list[str]:
    """A command that gives up what QEMU must not have, then becomes it. `uid` None: we are no root."""
    # A core dump would hold the guest's memory.
    prefix = ["prlimit", "--core=0", "--", "setpriv", "--no-new-privs"]
    if uid is not None:
        prefix += ["--reuid", str(uid), "--regid", str(config.uid_base), "--clear-groups"]
        prefix += ["--bounding-set", "-all", "--inh-caps", "-all"]
    # The kernel drops a parent-death signal when the user changes; setpriv sets it after that.
    return [*prefix, "--pdeathsig", "KILL"] if dies_with_us else prefix


def start_ticks(pid: int) -> int | None:
    """When a process started, in the kernel's ticks: with its id, unique. None if it is no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may hold anything; state and start time are fields 3 and 22.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def own_memory(pid: int) -> int:
    """Bytes of memory that go when the process does: not what it maps of files. 0 if it is no more."""
    try:
        _size, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(resident) - int(shared)) * PAGE_BYTES


class Process:
    """`on_exit` is called once, from the event loop, when the process has ended and is reaped."""

    def __init__(self, pid: int, pidfd: int, on_exit: Callable[[], None]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.errors = Console(ERROR_OUTPUT_BYTES)
        self._pidfd = pidfd
        self._on_exit = on_exit
        self._child: subprocess.Popen[bytes] | None = None
        self._output: int | None = None
        self._exited = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pidfd, self._reap)

    @classmethod
    def spawn(
        cls, command: Sequence[str], descriptors: Sequence[int], on_exit: Callable[[], None]
    ) -> Process:
        """In a session of its own, with nothing of ours but `descriptors`. Raises OSError.

        The parent-death signal follows the thread that spawned, so that must be the main one.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("machines are started from the main thread only")
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.set_blocking(writer, True)
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                pass_fds=descriptors,
                env={"PATH": os.environ.get("PATH", os.defpath)},
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        process = cls(child.pid, os.pidfd_open(child.pid), on_exit)
        process._child = child
        process._output = reader
        process._loop.add_reader(reader, process._read_output)
        return process

    @classmethod
    def adopt(cls, pid: int, ticks: int, on_exit: Callable[[], None]) -> Process:
        """Raises ProcessLookupError unless the process that started at `ticks` still runs."""
        pidfd = os.pidfd_open(pid)
        if start_ticks(pid) != ticks:
            os.close(pidfd)
            raise ProcessLookupError(pid)
        return cls(pid, pidfd, on_exit)

    def kill(self) -> None:
        """Idempotent."""
        if not self._exited.is_set():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def exited(self) -> None:
        await self._exited.wait()

    def release(self) -> None:
        """Stop watching; the process runs on."""
        self._forget_child()
        self._close()

    def _reap(self) -> None:
        # Of an adopted machine there is nothing to reap, unless this very process started it.
        with contextlib.suppress(ChildProcessError):
            status = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
            assert status is not None
            ended_itself = status.si_code == os.CLD_EXITED
            self.returncode = status.si_status if ended_itself else -status.si_status
        self._forget_child()
        while self._read_output():
            pass
        self._close()
        self._exited.set()
        self._on_exit()

    def _forget_child(self) -> None:
        # Told that its process is reaped, subprocess neither waits for it nor warns.
        if self._child is not None:
            self._child.returncode = self.returncode if self.returncode is not None else 0
            self._child = None

    def _read_output(self) -> bool:
        """One piece per call, so that a flood leaves the loop to others. True if there was one."""
        if self._output is None:
            return False
        try:
            data = os.read(self._output, 64 * 1024)
        except BlockingIOError:
            return False
        if data:
            self.errors.write(data)
        else:
            self._close_output()
        return bool(data)

    def _close(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        self._close_output()

    def _close_output(self) -> None:
        if self._output is not None:
            self._loop.remove_reader(self._output)
            os.close(self._output)
            self._output = None


def kill_and_wait(pid: int, ticks: int) -> None:
    """End a process that nobody watches; returns when it has. Blocks: for start-up, not for the loop."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if start_ticks(pid) != ticks:
            return
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        select.select([pidfd], [], [], 10)
    finally:
        os.close(pidfd)
