"""A whole platform, as `aether up` makes it, with simulated instances; and the command in this process."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from aether.cli.data_dir import locked, socket_directory
from aether.cli.embedded import Embedded, open_stores
from aether.cli.main import main
from aether.cli.settings import load_settings
from aether.ports.function_logs import LogRecord
from aether.ports.vmm import MachineSpec, Runtime
from aether.vmm.simulated import Behaviour, SimulatedVmm

NODE = Runtime("node", Path("node.ext4"), ("node",), "handler.js", digest="d1")
STARTS_WITHIN_S = 20


@dataclass
class Ended:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@dataclass
class Platform:
    """One that runs in a thread of its own until it's told to stop."""

    url: str
    data_dir: Path


def behaviour_of(spec: MachineSpec) -> Behaviour:
    """Functions say in their environment how they fail."""
    return Behaviour(exits_before_ready="FAILS_TO_START" in spec.env)


class Running:
    """The thread, and how it is ended."""

    def __init__(self, data_dir: Path) -> None:
        self.settings = load_settings(data_dir=data_dir, port=0, socket_dir=data_dir / "run")
        self.vmm = SimulatedVmm(behaviour_of)
        self.ready = threading.Event()
        self.address: tuple[str, int] = ("", 0)
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="platform")

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - told by the fixture, in the test's own thread
            self.failure = error
            self.ready.set()

    async def _serve(self) -> None:
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        with locked(self.settings.data_dir), socket_directory(self.settings.sockets):
            async with open_stores(self.settings) as stores:
                self.logs = stores.logs
                await Embedded(self.settings, stores, self.vmm, {"node": NODE}).run(self.stop, self._is_ready)

    def _is_ready(self, address: tuple[str, int]) -> None:
        self.address = address
        self.ready.set()

    def start(self) -> Platform:
        self.thread.start()
        assert self.ready.wait(STARTS_WITHIN_S), "the platform did not start"
        if self.failure is not None:
            raise self.failure
        host, port = self.address
        return Platform(f"http://{host}:{port}", self.settings.data_dir)

    def print_line(self, record: LogRecord) -> None:
        """As one of its instances would."""
        self.loop.call_soon_threadsafe(self.logs.append, record)

    def end(self) -> None:
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join()


@pytest.fixture(scope="session")
def platform(tmp_path_factory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    running = Running(folder)
    # In this process its log would get among what commands print.
    log = (folder / "log").open("w")
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(log))
    try:
        yield running.start()
    finally:
        running.end()
        structlog.reset_defaults()
        log.close()


@pytest.fixture
def aether(platform, capfdbinary, monkeypatch, tmp_path) -> Callable[..., Ended]:
    """Runs one command against the platform, as its user on this machine would."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("AETHER_PROFILE", raising=False)
    monkeypatch.setenv("AETHER_URL", platform.url)
    monkeypatch.setenv("AETHER_DATA_DIR", str(platform.data_dir))
    monkeypatch.delenv("AETHER_KEY", raising=False)

    def run(*words: str) -> Ended:
        capfdbinary.readouterr()
        code = main(words)
        out, err = capfdbinary.readouterr()
        return Ended(code, out.decode(), err.decode())

    return run


@pytest.fixture
def folder(tmp_path) -> Path:
    """A function's folder; its name makes the function's."""
    root = tmp_path / "My Shop_v2"
    root.mkdir()
    (root / "handler.js").write_text("module.exports = () => 'hi'\n")
    return root


@pytest.fixture
def hello(aether, folder) -> Iterator[str]:
    """A deployed function's name."""
    name = aether("deploy", str(folder), "--name", "hello", "--json").json["function"]["name"]
    yield name
    aether("rm", name, "--ignore-missing")
