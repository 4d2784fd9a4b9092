"""The stage itself: what a cluster makes goes with it, whatever became of who started it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cluster.cluster import REPOSITORY
from tests.cluster.host import Host
from tests.cluster.network import Network
from tests.cluster.run import new_run, sweep
from tests.cluster.shell import run

CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=1)
except OSError as error:
    print(type(error).__name__)
"""
ABANDONED = """
import os, signal, subprocess
from tests.cluster.host import Host
from tests.cluster.network import Network
from tests.cluster.run import new_run

with new_run() as run:
    network = Network(run.name)
    host = Host(network, 1)
    host.start()
    subprocess.Popen(host.inside(["sleep", "1000"]))
    print(run.name, run.directory, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def links(name: str) -> list[str]:
    return [link["ifname"] for link in json.loads(run("ip -json link show")) if name in link["ifname"]]


def test_hosts_reach_each_other_until_one_is_cut_off(able):
    with new_run() as run_:
        network = Network(run_.name)
        hosts = [Host(network, number) for number in (1, 2)]
        try:
            for host in hosts:
                host.start()
            assert hosts[0].run("hostname").strip() == "worker-1"
            assert hosts[0].run("ip -o route").split()[:3] == [str(network.subnet), "dev", "eth0"]
            assert len(hosts[0].processes("hostname")) == 1
            assert reach(hosts[0], hosts[1]) == "ConnectionRefusedError"
            hosts[1].cut()
            assert reach(hosts[0], hosts[1]) == "TimeoutError"
            hosts[1].heal()
            assert reach(hosts[0], hosts[1]) == "ConnectionRefusedError"
        finally:
            for host in hosts:
                host.stop()
    assert links(run_.name) == []
    assert not run_.directory.exists()


def reach(host: Host, other: Host) -> str:
    """How a connection from one to a port where nobody listens fails."""
    return run(host.inside([sys.executable, "-c", CONNECT, other.address])).strip()


def test_a_killed_run_leaves_no_process_and_the_next_sweeps_the_rest(able):
    killed = subprocess.run(
        [sys.executable, "-c", ABANDONED], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    name, directory = killed.stdout.split()
    assert links(name)
    assert name in sweep()
    assert links(name) == []
    assert not Path(directory).exists()
    end_s = time.monotonic() + 5
    while "sleep\0001000" in commands():
        assert time.monotonic() < end_s, "a process was left"
        time.sleep(0.02)


def test_a_running_one_is_not_swept(able):
    with new_run() as run_:
        network = Network(run_.name)
        assert run_.name not in sweep()
        assert links(run_.name) == [network.bridge]


def commands() -> str:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return "\n".join(found)


def test_who_is_not_root_is_told():
    # Nobody, in a user namespace that maps no one, but may still read this checkout.
    command = ["unshare", "--user", sys.executable, "-m", "tests.cluster"]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (
        2,
        "error: network namespaces need root; run: sudo make cluster\n",
    )
