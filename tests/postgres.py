"""PostgreSQL for tests, from Debian's package: a server of its own, run by an ordinary user."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines import Engine, running

PROGRAMS = Path("/usr/lib/postgresql")
RUNS_AS = "postgres"
SETTINGS = {
    "fsync": "off",
    "unix_socket_directories": "",
    "shared_memory_type": "mmap",
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "100",
}


def programs() -> Path | None:
    """Where the newest installed version has its programs."""
    found = [p for p in PROGRAMS.glob("*/bin") if (p / "initdb").exists()]
    return max(found, key=lambda p: float(p.parent.name), default=None)


class PostgresServer(Engine):
    """Database `aether`, owned by the administrator `aether`."""

    program, package = "postgres", "postgresql"
    user = "aether"
    password = "only-for-tests"

    @classmethod
    def installed(cls) -> bool:
        return programs() is not None

    @property
    def url(self) -> str:
        return self.url_of("aether")

    def url_of(self, database: str) -> str:
        return f"postgresql://{self.user}:{self.password}@{self.address}/{database}"

    def command(self) -> list[str]:
        settings = SETTINGS | {"listen_addresses": self.host, "port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*self._as_user(), str(self._bin / "postgres"), "-D", str(self._data), *options]

    def answers(self, sock: socket.socket) -> bool:
        """Not while it still recovers."""
        return self._run("pg_isready", "-h", self.host, "-p", str(self.port)).returncode == 0

    def spawn(self) -> None:
        if not self._data.exists():
            self._make()
        super().spawn()

    def kill(self) -> None:
        """Its immediate shutdown: as a crash for clients and data, but no shared memory stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    @property
    def _bin(self) -> Path:
        found = programs()
        assert found is not None, "Debian's package postgresql is not here"
        return found

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _send(self, number: int) -> None:
        """To the process that makes processes first, then to those it made."""
        assert self._process is not None
        pid = self._process.pid
        os.kill(pid, number)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(child), number)

    def _make(self) -> None:
        if os.geteuid() == 0:
            account = pwd.getpwnam(RUNS_AS)
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        secret = self.directory / "password"
        secret.write_text(self.password + "\n")
        if os.geteuid() == 0:
            os.chown(secret, account.pw_uid, account.pw_gid)
        made = self._run(
            *("initdb", "-D", str(self._data), "--username", self.user, "--pwfile", str(secret)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
        )
        assert made.returncode == 0, made.stderr
        with (self._data / "pg_hba.conf").open("a") as file:
            file.write("host all all all scram-sha-256\n")
        # Without a server: the first database is there before anybody can connect.
        single = ("postgres", "--single", "-D", str(self._data), "template1")
        made = self._run(*single, says="CREATE DATABASE aether;\n")
        assert made.returncode == 0, made.stderr

    def _run(self, program: str, *words: str, says: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._as_user(), str(self._bin / program), *words],
            input=says,
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )

    def _as_user(self) -> list[str]:
        """It refuses to be run by root. What the kernel keeps for it goes with it."""
        if os.geteuid() != 0:
            return []
        # A change of user drops the wish to die with the parent.
        user = [f"--reuid={RUNS_AS}", f"--regid={RUNS_AS}", "--clear-groups", "--pdeathsig", "KILL"]
        return ["unshare", "--ipc", "setpriv", *user]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running(PostgresServer) as server:
        assert isinstance(server, PostgresServer)
        yield server
