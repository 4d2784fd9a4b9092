"""The agent as an ordinary process: compiled with sanitizers, in namespaces of its own."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest
from tests.compilers import compile_c

REPOSITORY = Path(__file__).parents[3]
AGENT_SOURCES = REPOSITORY / "guest" / "agent"
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]
TIMEOUT_S = 20.0
TOKEN = "tok-0123456789"
NAMESPACES = ["unshare", "-Urmpfn", "--mount-proc", "--kill-child"]
BIND = """
set -e
root=$1; shift
for name in usr etc dev proc sys; do mkdir -p $root/$name; mount --rbind /$name $root/$name; done
for name in bin sbin lib lib64; do [ -h /$name ] && ln -sfn usr/$name $root/$name; done
mkdir -p $root/tmp
exec "$@"
"""
"""Gives the function a root with the host's programs in it, and a `/code` of its own."""


def compiled(target: Path, *sources: Path, extra: tuple[str, ...] = ()) -> Path:
    compile_c([*FLAGS, *extra, "-o", str(target), *map(str, sources)], sanitized=True)
    return target


@pytest.fixture(scope="session")
def agent_binary(tmp_path_factory) -> Path:
    return compiled(tmp_path_factory.mktemp("agent") / "agent", *sorted(AGENT_SOURCES.glob("*.c")))


@pytest.fixture(scope="session")
def parsers_binary(tmp_path_factory) -> Path:
    """The agent's parsers behind a small main of their own (parsers.c)."""
    parts = [AGENT_SOURCES / f"{name}.c" for name in ("json", "frame", "http", "cmdline", "ready", "text")]
    main = Path(__file__).parent / "parsers.c"
    return compiled(
        tmp_path_factory.mktemp("parsers") / "parsers", main, *parts, extra=(f"-I{AGENT_SOURCES}",)
    )


def frame(kind: str, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload)) + kind.encode() + payload


class Host:
    """The worker's end of the control channel, blocking."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket: socket.socket | None = None
        self.buffer = b""

    def connect(self) -> None:
        """Connect, also while the agent is still starting."""
        until = time.monotonic() + TIMEOUT_S
        while True:
            connecting = socket.socket(socket.AF_UNIX)
            connecting.settimeout(TIMEOUT_S)
            try:
                connecting.connect(str(self.path))
            except OSError:
                connecting.close()
                assert time.monotonic() < until, "the agent never listened"
                time.sleep(0.005)
            else:
                self.disconnect()
                self.socket = connecting
                return

    def disconnect(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket, self.buffer = None, b""

    def send(self, kind: str, payload: bytes | dict = b"") -> None:
        data = json.dumps(payload).encode() if isinstance(payload, dict) else payload
        self.send_bytes(frame(kind, data))

    def send_bytes(self, data: bytes) -> None:
        assert self.socket is not None
        self.socket.sendall(data)

    def receive(self) -> tuple[str, bytes]:
        """The next frame; ("", b"") at the end."""
        assert self.socket is not None
        while True:
            if len(self.buffer) >= 5:
                size = 5 + struct.unpack(">I", self.buffer[:4])[0]
                if len(self.buffer) >= size:
                    found, self.buffer = self.buffer[:size], self.buffer[size:]
                    return chr(found[4]), found[5:]
            data = self.socket.recv(65536)
            if not data:
                return "", b""
            self.buffer += data

    def expect(self, kind: str) -> dict:
        """The next frame, which must be of that kind, as JSON."""
        got, payload = self.receive()
        assert got == kind, (got, payload)
        return json.loads(payload)

    def until(self, kind: str) -> tuple[dict, list[tuple[str, str]]]:
        """The next frame of that kind as JSON, and the log lines before it as (stream, text)."""
        lines = []
        while True:
            got, payload = self.receive()
            if got == kind:
                return json.loads(payload or b"null"), lines
            assert got, (f"the guest ended without {kind}", lines)
            if got == "L":
                lines.append((chr(payload[0]), payload[1:].decode()))

    def line(self, text: str) -> tuple[str, str]:
        """Wait for a log line that holds `text`; other frames are passed over."""
        while True:
            got, payload = self.receive()
            assert got, f"the guest ended without {text!r}"
            if got == "L" and text in payload[1:].decode():
                return chr(payload[0]), payload[1:].decode()


class Guest(Host):
    """An agent that runs, and its host."""

    def __init__(self, agent: Path, folder: Path, *, user_namespace: bool = True, token: str = TOKEN) -> None:
        super().__init__(folder / "control")
        self.folder = folder
        self.root = folder / "root"
        self.code = self.root / "code"
        self.code.mkdir(parents=True)
        namespaces = NAMESPACES if user_namespace else ["unshare", "-mpfn", "--mount-proc", "--kill-child"]
        arguments = f"quiet aether_token={token} aether.ip=169.254.0.2/16"
        self.console = (folder / "console").open("wb")
        command = [*namespaces, "sh", "-c", BIND, "sh", str(self.root), str(agent), "run"]
        command += ["--control", str(self.path), "--root", str(self.root), "--cmdline", arguments]
        self.process = subprocess.Popen(command, stdout=self.console, stderr=self.console)

    def metadata(self, *command: str, **changes) -> dict:
        """An `M` payload. `changes` are of the metadata, but for user and group."""
        metadata = {"token": TOKEN, "env": {}, "entrypoint": "handler.js", "port": 3000}
        user, group = changes.pop("user", 0), changes.pop("group", 0)
        return {
            "metadata": {**metadata, **changes},
            "command": list(command),
            "user": user,
            "group": group,
            "instance_id": "i-1",
            "function_id": "fn-1",
        }

    def start(self, *command: str, **changes) -> None:
        self.connect()
        self.expect("H")
        self.send("M", self.metadata(*command, **changes))

    def shell(self, script: str, **changes) -> None:
        self.start("/bin/sh", "-c", script, **changes)

    def console_text(self) -> str:
        return (self.folder / "console").read_text(errors="replace")

    def wait(self) -> int:
        return self.process.wait(TIMEOUT_S)

    def close(self) -> None:
        self.disconnect()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.console.close()
        text = self.console_text()
        assert "Sanitizer" not in text, text
        assert "runtime error" not in text, text


@pytest.fixture(scope="session")
def namespaces() -> None:
    probe = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no user namespaces here: {probe.stderr.strip()}")


@pytest.fixture
def guest(agent_binary, namespaces, tmp_path):
    running = Guest(agent_binary, tmp_path)
    yield running
    running.close()


@pytest.fixture
def privileged_guest(agent_binary, tmp_path):
    """As real root, so that another user can be become."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the same is tested in a microVM")
    running = Guest(agent_binary, tmp_path, user_namespace=False)
    yield running
    running.close()
