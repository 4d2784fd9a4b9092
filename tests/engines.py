"""Real servers for tests: on free ports (loopback's, unless told), in directories of their own."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

WITHIN_S = 20
SHM = Path("/dev/shm")


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


class Engine:
    """One server's process. It keeps port and directory over restarts, and dies with whoever started it."""

    program = ""
    package = ""

    def __init__(self, directory: Path, host: str = "127.0.0.1") -> None:
        self.directory = directory
        self.host = host
        self.port = free_port(host)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self, sock: socket.socket) -> bool:
        raise NotImplementedError

    @classmethod
    def installed(cls) -> bool:
        return shutil.which(cls.program) is not None

    def start(self) -> None:
        """Returns when it answers."""
        self.spawn()
        self.wait()

    def spawn(self) -> None:
        """From the thread that it is to die with."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait(self) -> None:
        """Until it answers."""
        assert self._process is not None
        end_s = time.monotonic() + WITHIN_S
        while time.monotonic() < end_s:
            assert self._process.poll() is None, (self.directory / "log").read_text()
            with suppress(OSError), socket.create_connection((self.host, self.port), timeout=1) as sock:
                if self.answers(sock):
                    return
            time.sleep(0.01)
        raise AssertionError(f"{self.program} doesn't answer: {(self.directory / 'log').read_text()}")

    def kill(self) -> None:
        """As if its host had gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class EtcdServer(Engine):
    program, package = "etcd", "etcd-server"

    def __init__(self, directory: Path, host: str = "127.0.0.1") -> None:
        super().__init__(directory, host)
        self.peer_port = free_port()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def command(self) -> list[str]:
        peers = f"http://127.0.0.1:{self.peer_port}"
        return (
            f"etcd --data-dir {self.directory}/data --logger zap --log-level warn"
            f" --listen-client-urls {self.url} --advertise-client-urls {self.url}"
            f" --listen-peer-urls {peers} --initial-advertise-peer-urls {peers}"
            f" --initial-cluster default={peers} --heartbeat-interval 10 --election-timeout 50"
        ).split()

    def answers(self, sock: socket.socket) -> bool:
        sock.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        return b'"health":"true"' in sock.recv(4096)

    def lose_everything(self) -> None:
        """Killed, and started again as the backup of nothing."""
        self.kill()
        self.wipe()
        self.start()

    def wipe(self) -> None:
        shutil.rmtree(self.directory / "data")


class RedisServer(Engine):
    program, package = "redis-server", "redis-server"

    @property
    def url(self) -> str:
        return f"redis://{self.address}"

    def command(self) -> list[str]:
        return (
            f"redis-server --bind {self.host} --port {self.port} --dir {self.directory}"
            " --appendonly yes --appendfsync always"
        ).split()

    def answers(self, sock: socket.socket) -> bool:
        sock.sendall(b"PING\r\n")
        return sock.recv(64) == b"+PONG\r\n"


@contextmanager
def running(kind: type[Engine]) -> Iterator[Engine]:
    if not kind.installed():
        pytest.skip(f"{kind.program} is not here (Debian's {kind.package})")
    with tempfile.TemporaryDirectory(
        prefix=f"aether-{kind.program}-", dir=SHM if SHM.is_dir() else None
    ) as directory:
        engine = kind(Path(directory))
        try:
            engine.start()
            yield engine
        finally:
            engine.kill()


@pytest.fixture(scope="session")
def etcd_server() -> Iterator[EtcdServer]:
    with running(EtcdServer) as server:
        assert isinstance(server, EtcdServer)
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with running(RedisServer) as server:
        assert isinstance(server, RedisServer)
        yield server
