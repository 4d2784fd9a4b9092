"""Starting, stopping, restarting and being killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import httpx
import pytest
from tests.e2e.conftest import Up, User, assert_nothing_left, files_left, platform, start, until

pytestmark = pytest.mark.vm

HELLO = {"handler.js": "module.exports = (q, s) => s.end('hello')"}
SLOW = {"handler.js": "module.exports = (q, s) => setTimeout(() => s.end('slow'), 3000)"}


def test_functions_are_there_after_a_restart_and_after_kill_9(user):
    with platform(user, "data") as first:
        first.deploy("hello", HELLO)
        assert first.call("hello").text == "hello"
    second = start(user, first.data_dir)
    assert second.call("hello").text == "hello"
    second.stop(signal.SIGKILL)
    assert second.machines
    until(lambda: not any(Path(f"/proc/{machine}").exists() for machine in second.machines), 5.0)
    third = start(user, first.data_dir)
    assert third.call("hello").text == "hello"
    assert third.stop() == 0
    assert_nothing_left(third)


def test_a_running_call_ends_when_the_platform_is_asked_to_stop(user):
    with platform(user, "data") as up:
        up.deploy("slow", SLOW)
        assert up.call("slow").text == "slow"
        answers: list[str] = []
        caller = threading.Thread(target=lambda: answers.append(up.call("slow").text))
        caller.start()
        until(lambda: "1.0" in _in_flight(up))
        up.ask_to_stop()
        caller.join(30)
    assert answers == ["slow"]


def test_whoever_asks_twice_does_not_wait_and_nothing_stays(user):
    base = Path(tempfile.mkdtemp(dir=user.home))
    os.chown(base, user.uid, -1)
    up = start(user, base / "data")
    up.deploy("silent", {"handler.js": "module.exports = () => {}"})
    answers: list[httpx.Response] = []

    def call() -> None:
        answers.append(up.call("silent"))

    caller = threading.Thread(target=call)
    caller.start()
    until(lambda: "1.0" in _in_flight(up))
    up.ask_to_stop(signal.SIGINT)
    until(lambda: "Stopping" in up.log.read_text())
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(10) == 130
    caller.join()
    up.http.close()
    assert [answer.status_code for answer in answers] == [503], "it is told, and not just cut"
    assert "Traceback" not in up.log.read_text()
    assert_nothing_left(up)


def _in_flight(up: Up) -> str:
    """Requests that run, as `/metrics` counts them."""
    lines = up.http.get("/metrics").text.splitlines()
    return next(line for line in lines if line.startswith("aether_running_requests"))


def test_a_busy_port_is_a_clear_error(user):
    base = Path(tempfile.mkdtemp(dir=user.home))
    os.chown(base, user.uid, -1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            user.aether("up", "--port", port, "--data-dir", str(base / "d")),
            env=user.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert files_left(base / "d") == []


def test_a_second_platform_on_the_same_data_is_refused(user):
    with platform(user, "data") as up:
        ran = subprocess.run(
            user.aether("up", "--port", "0", "--data-dir", str(up.data_dir)),
            env=user.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 1
    assert "Another platform" in ran.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has root to give up")
def test_qemu_started_by_root_gives_root_up(images, tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "AETHER_CACHE_DIR": str(images)}
    root = User(0, tmp_path, (), sys.executable, environment)
    with platform(root, "data") as up:
        up.deploy("hello", HELLO)
        assert up.call("hello").text == "hello"
        machines = up.vms()
        assert machines
        for process in machines:
            status = Path(f"/proc/{process}/status").read_text()
            rows = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            assert "0" not in rows["Uid"].split() + rows["Gid"].split()
            assert rows["Groups"].split() == []
            assert rows["CapEff"] == "0" * 16
            assert rows["Seccomp"] == "2"


def test_asked_to_end_before_it_is_up_it_ends_cleanly(user):
    base = Path(tempfile.mkdtemp(dir=user.home))
    os.chown(base, user.uid, -1)
    environment = user.environment | {"AETHER_DATA_DIR": str(base / "data"), "AETHER_PORT": "0"}
    log = base / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(user.aether("up"), env=environment, stdout=output, stderr=output)
        try:
            until((base / "data" / "lock").exists, within_s=60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert "Stopped" in log.read_text()
    assert "Traceback" not in log.read_text()
