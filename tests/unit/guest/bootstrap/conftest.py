"""A function run by the Node bootstrap, with the real Node, as the agent would run it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from aether.images.store import default_cache_dir
from aether.images.tools import BuildTools

GUEST = Path(__file__).parents[4] / "guest" / "node"
BOOTSTRAP = GUEST / "bootstrap.cjs"
TIMEOUT_S = 20.0


@pytest.fixture(scope="session")
def node() -> str:
    ours = BuildTools(default_cache_dir()).node
    found = str(ours) if ours.is_file() else shutil.which("node")
    if found is None:
        pytest.skip("no Node: `aether setup` installs one")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Function:
    """A function's folder, and the process that the agent would start in it."""

    def __init__(self, node: str, folder: Path) -> None:
        self.node, self.folder, self.port = node, folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def start(self, entrypoint: str = "handler.js") -> None:
        env = {
            "PORT": str(self.port),
            "AETHER_ENTRYPOINT": entrypoint,
            "PATH": os.environ["PATH"],
            "GREETING": "hi",
        }
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as err:
            self.process = subprocess.Popen(
                [self.node, str(BOOTSTRAP)], cwd=self.folder, env=env, stdout=out, stderr=err
            )

    def listens(self) -> None:
        until = time.monotonic() + TIMEOUT_S
        while True:
            assert self.process.poll() is None, self.errors()
            assert time.monotonic() < until, f"nothing listens: {self.errors()}"
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.01)
            else:
                return

    def run(self, source: str, entrypoint: str = "handler.js") -> None:
        self.write(entrypoint, source)
        self.start(entrypoint)
        self.listens()

    def call(self, path: str = "/", **changes) -> httpx.Response:
        method = changes.pop("method", "GET")
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=TIMEOUT_S, **changes)

    def output(self) -> str:
        return (self.folder / "stdout").read_text()

    def sees(self, text: str) -> None:
        """Wait until it has printed that."""
        until = time.monotonic() + TIMEOUT_S
        while text not in self.output():
            assert time.monotonic() < until, self.output()
            time.sleep(0.005)

    def errors(self) -> str:
        return (self.folder / "stderr").read_text()

    def wait(self) -> int:
        return self.process.wait(TIMEOUT_S)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def function(node, tmp_path):
    """Laid out as in the guest: the code in a folder of its own, the runtime's module above it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "aether").symlink_to(GUEST / "module")
    one = Function(node, tmp_path / "code")
    yield one
    one.close()
