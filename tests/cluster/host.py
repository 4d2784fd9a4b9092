"""A host for processes: namespaces for network, process ids, mounts and its name.

Whoever runs there sees no process of others and no other network; when its init ends, all end. The init ends
with whoever started it, so that nothing runs on after a `kill -9`, microVMs included.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.cluster.network import Network
from tests.cluster.shell import run

INIT = "hostname {name}; echo ready; exec >&-; sleep infinity & wait"
"""bash, as process 1, reaps what loses its parent."""
WITHIN_S = 10.0


class Host:
    """`number`, from 1, gives it name and address."""

    def __init__(self, network: Network, number: int) -> None:
        self.name = f"worker-{number}"
        self.address = network.worker(number)
        self._link = f"{network.bridge}w{number}"
        self._bridge = network.bridge
        self._prefix = network.subnet.prefixlen
        self._keeper: subprocess.Popen[bytes] | None = None
        self._init = 0

    def start(self) -> None:
        namespaces = ["--net", "--uts", "--ipc", "--pid", "--mount-proc", "--fork", "--kill-child"]
        init = ["bash", "-c", INIT.format(name=self.name)]
        self._keeper = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", "unshare", *namespaces, "--", *init],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._init = only_child(self._keeper.pid)
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline(), "the init of a host ended at once"
        self._keeper.stdout.close()
        self._connect()

    def stop(self) -> None:
        """As if its power went: everything there ends at once."""
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.wait()
            self._keeper = None

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command that runs it there, in place."""
        target = ["--target", str(self._init), "--net", "--uts", "--ipc", "--pid", "--mount"]
        # The one that waits in place dies with whoever started it, and takes what it waits for along.
        return ["nsenter", *target, "--", "setpriv", "--pdeathsig", "KILL", "--", *command]

    def cut(self) -> None:
        """No packet goes either way, and nobody is told."""
        run(f"ip link set {self._link} down")

    def heal(self) -> None:
        run(f"ip link set {self._link} up")

    def run(self, command: str) -> str:
        """A short command on this host; its output."""
        return run(self.inside(command.split()))

    def processes(self, word: str) -> list[int]:
        """Process ids, outside, of what runs there with this word in its command."""
        space = Path(f"/proc/{self._init}/ns/pid").readlink()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            # It may end while it is looked at, or be nobody's to look at.
            with suppress(OSError):
                there = (process / "ns/pid").readlink() == space
                if there and word.encode() in (process / "cmdline").read_bytes():
                    found.append(int(process.name))
        return sorted(found)

    def _connect(self) -> None:
        inside = f"{self._link}i"
        run(f"ip link add {self._link} type veth peer name {inside}")
        run(f"ip link set {inside} netns {self._init} name eth0")
        run(f"ip link set {self._link} master {self._bridge} up")
        for command in ("lo up", "eth0 up"):
            self.run(f"ip link set {command}")
        self.run(f"ip address add {self.address}/{self._prefix} dev eth0")


def only_child(pid: int) -> int:
    """The process that this one has started and waits for. Raises RuntimeError when there is none in time."""
    end_s = time.monotonic() + WITHIN_S
    while time.monotonic() < end_s:
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            break
        if children:
            return int(children[0])
        time.sleep(0.002)
    raise RuntimeError(f"process {pid} started none")
