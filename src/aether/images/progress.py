"""How set-up tells what it does, and the running of commands that may take a while."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aether.images.errors import SetupFailed

TICK_S = 1.0
"""How often a running command is reported."""

OUTPUT_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Progress:
    """Where set-up is. `text` says what is done and why; `detail` how far it is, if known."""

    step: str
    text: str
    detail: str = ""
    elapsed_s: float = 0.0
    done: bool = False


Report = Callable[[Progress], None]


@dataclass(slots=True)
class Step:
    """One thing that set-up is doing."""

    name: str
    report: Report
    text: str = ""
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """What is done now, and why."""
        self.text = text
        self.report(Progress(self.name, text, elapsed_s=self.elapsed_s))

    def tick(self, detail: str) -> None:
        self.report(Progress(self.name, self.text, detail, self.elapsed_s))

    def finish(self, text: str) -> None:
        self.report(Progress(self.name, text, elapsed_s=self.elapsed_s, done=True))

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        growing: Path | None = None,
        hint: str | None = None,
    ) -> str:
        """Run a command to its end and return its output.

        `env` is added to ours. `growing` is a folder whose size is told as progress.
        Raises SetupFailed with the last lines of the output when the command fails.
        """
        with tempfile.TemporaryFile() as output:
            try:
                process = subprocess.Popen(
                    [str(part) for part in argv],
                    cwd=cwd,
                    env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            except FileNotFoundError:
                raise SetupFailed(f"{argv[0]} is not installed", hint=hint) from None
            with ending(process):
                while not exited(process, TICK_S):
                    self.tick(size_text(growing) if growing else "")
            output.seek(0)
            text = output.read().decode(errors="replace")
        if process.returncode != 0:
            tail = "\n".join(text.strip().splitlines()[-OUTPUT_TAIL_LINES:])
            name = Path(argv[0]).name
            raise SetupFailed(f"{name} failed with status {process.returncode}:\n{tail}", hint=hint)
        return text


@contextlib.contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever happens inside, the process has ended afterwards."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            if not exited(process, 5):
                process.kill()
        process.wait()


def exited(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def size_text(folder: Path) -> str:
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # files come and go while we look
                size += os.lstat(Path(parent, name)).st_size
    return f"{size / 2**20:.0f} MiB"
