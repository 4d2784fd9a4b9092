"""A platform under test, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.api import Api
from tests.faults.load import Target

START_WITHIN_S = 60.0
STOP_WITHIN_S = 60.0
_UP = re.compile(r"Aether is up at http://([^:\s]+):(\d+)")
_LOG_OF_A_PROBLEM = re.compile(
    r"Traceback|was never retrieved|Task was destroyed|never awaited|^LEFT:", re.MULTILINE
)


@dataclass
class Platform(Api):
    """`directory` holds its state, log, journal and control socket; make one with `started`."""

    directory: Path
    process: asyncio.subprocess.Process
    simulated: bool
    host: str = ""
    port: int = 0
    log_from: int = 0
    """Where in the log this process begins."""
    stopped: bool = False
    machines: list[int] = field(default_factory=list)
    """Process ids of the QEMUs that were there when it was asked to stop."""

    @classmethod
    async def started(
        cls, directory: Path, *, simulated: bool, port: int = 0, settings: dict[str, str] | None = None
    ) -> Platform:
        """A new one on what the one before it left in `directory`, if there was one."""
        data_dir, log = directory / "data", directory / "platform.log"
        program = (
            (
                "tests.faults.stage.simulated",
                "--control",
                f"{directory}/c",
                "--journal",
                f"{directory}/journal",
            )
            if simulated
            else ("aether.cli", "up")
        )
        (directory / "c").unlink(missing_ok=True)
        with log.open("ab") as output:
            began = output.tell()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *program,
                *("--data-dir", str(data_dir), "--port", str(port)),
                env={**os.environ, **(settings or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        platform = cls(directory, process, simulated, log_from=began)
        try:
            await platform._until_up()
        except BaseException:
            await platform.kill()
            raise
        key = (data_dir / "api-key").read_text().strip()
        platform.connect(f"http://{platform.host}:{platform.port}", key)
        return platform

    # What scenarios do with it

    def target(self, name: str, deadline_s: float) -> Target:
        return Target(self.host, self.port, f"/functions/{name}", deadline_s)

    async def control(self, **command: Any) -> dict[str, Any]:
        """Simulated only: see `tests.faults.stage.simulated`."""
        reader, writer = await asyncio.open_unix_connection(f"{self.directory}/c")
        writer.write(json.dumps(command).encode() + b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
        return dict(answer)

    # What can be seen of it

    def log(self) -> str:
        """Of this process."""
        with (self.directory / "platform.log").open("rb") as file:
            file.seek(self.log_from)
            return file.read().decode(errors="replace")

    def received(self) -> list[str]:
        """Tokens of the requests that functions got, from the journal."""
        paths = (self.directory / "journal").read_text().split()
        return [path.removeprefix("/").partition("?")[0] for path in paths]

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def vms(self) -> list[int]:
        """Process ids of its QEMUs."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if b"qemu" in _command(child)]

    # How it ends

    def ask_to_stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            # One that is gone already is told by how it ended.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                self.machines = self.vms()
                self.process.send_signal(signal.SIGTERM)

    async def stop(self) -> list[str]:
        """Ask it to stop, and wait; what is wrong with how it went."""
        self.ask_to_stop()
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                code = await self.process.wait()
        except TimeoutError:
            await self.kill()
            return [f"it had not stopped {STOP_WITHIN_S} s after SIGTERM"]
        await self.http.aclose()
        problems = [f"it ended with {code}"] if code else []
        problems += [f"VM {pid} was left" for pid in self.machines if Path(f"/proc/{pid}").exists()]
        problems += [f"{path} was left" for path in self._files_left()]
        problems += [f"its log has: {line}" for line in bad_lines(self.log())]
        return problems

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def _until_up(self) -> None:
        found: list[re.Match[str]] = []

        async def announced() -> bool:
            assert self.process.returncode is None, f"it did not start: {self.log()[-2000:]}"
            found.extend(_UP.finditer(self.log()))
            return bool(found)

        await self.until(announced, START_WITHIN_S, "the platform is up")
        self.host, self.port = found[0][1], int(found[0][2])

    def _files_left(self) -> list[Path]:
        folders = (self.directory / "data" / name for name in ("run", "work"))
        return [path for folder in folders for path in folder.rglob("*") if not path.is_dir()]


def bad_lines(log: str) -> list[str]:
    """Lines that tell of something that nobody caught; the first few."""
    return [log[match.start() :].splitlines()[0] for match in _LOG_OF_A_PROBLEM.finditer(log)][:5]


def _command(pid: str) -> bytes:
    """Empty of a process that has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
