"""`aether demo`: the platform's main job, shown by its own commands on a real microVM."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from aether.cli.client import Client
from aether.cli.data_dir import api_key
from aether.cli.failures import Refused
from aether.cli.output import bold, say

WARM_CALLS = 30
START_WITHIN_S = 60.0
STOP_WITHIN_S = 60.0
CALL_WITHIN_S = 60.0
NAME = "hello"
UP = re.compile(r"Aether is up at (http://\S+)")


def demo(path: Path = Path("examples/hello-node"), /) -> None:
    """Start a platform of its own, deploy an example, call it cold and warm, stop, tell the figures.

    It takes a free port and a temporary data directory, and leaves nothing behind. The last line
    on stdout is one JSON object.

    **Examples**

    ```
    aether demo
    aether demo ./my-function
    ```

    Parameters
    ----------
    path
        The function to deploy.
    """
    if not path.exists():
        raise Refused(
            f"There is no {path} here.", hint="Run it in a checkout of Aether, or: aether demo PATH"
        )
    with tempfile.TemporaryDirectory(prefix="aether-demo-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder) / "data"
        with _platform(data_dir) as (process, url):
            figures = _show(path, url, data_dir)
            machines = _machines(process)
        left = _left_behind(data_dir, machines)
    if left:
        raise Refused(f"The platform left something behind: {', '.join(left)}.")
    say(f"{bold('Stopped', sys.stderr)}: no process, socket or temporary file is left.")
    print(json.dumps(figures), flush=True)


@contextmanager
def _platform(data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`aether up` as a process of its own, and its URL. Its log goes to a file beside the data."""
    log = data_dir.parent / "log"
    _echo("aether up --port 0")
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "aether.cli", "up", "--port", "0", "--data-dir", str(data_dir)],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    try:
        yield process, _url(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    if code != 0:
        raise Refused(f"The platform ended with {code}.", hint=log.read_text()[-2000:])


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    give_up_at = time.monotonic() + START_WITHIN_S
    while time.monotonic() < give_up_at and process.poll() is None:
        if found := UP.search(log.read_text()):
            say(found.string.splitlines()[0])
            return found[1]
        time.sleep(0.05)
    raise Refused("The platform did not start.", hint=log.read_text()[-2000:])


def _show(path: Path, url: str, data_dir: Path) -> dict[str, object]:
    key = api_key(data_dir)
    _command(url, data_dir, "deploy", str(path), "--name", NAME, "--no-wait")
    with httpx.Client(base_url=url, timeout=CALL_WITHIN_S, trust_env=False) as http:
        _echo(f"curl {url}/functions/{NAME}/   # cold: a microVM boots, by the first request")
        cold_ms, answer = _timed(http)
        say(answer.text.rstrip())
        say(f"{bold(f'{cold_ms:.0f} ms', sys.stderr)}  {answer.headers.get('server-timing', '')}")
        _echo(f"the same {WARM_CALLS} times more   # warm: the instance is there")
        warm_ms = [_timed(http)[0] for _ in range(WARM_CALLS)]
        warm_p50_ms = statistics.median(warm_ms)
        say(f"{bold(f'{warm_p50_ms:.1f} ms', sys.stderr)}  median, {min(warm_ms):.1f} to {max(warm_ms):.1f}")
    _command(url, data_dir, "describe", NAME)
    _command(url, data_dir, "logs", NAME, "--limit", "3")
    with Client(url, key) as client:
        status = client.status()
        (instance,) = client.instances(NAME)
    return {
        "cold_start_ms": round(cold_ms, 1),
        "warm_p50_ms": round(warm_p50_ms, 2),
        "vmm": status["vmm"],
        "accel": status["accel"],
        "instance_id": instance["instance_id"],
    }


def _timed(http: httpx.Client) -> tuple[float, httpx.Response]:
    """Milliseconds of one call, and its answer. Raises Refused for one that is not the function's."""
    began = time.perf_counter()
    answer = http.get(f"/functions/{NAME}/")
    took_ms = (time.perf_counter() - began) * 1000
    if answer.status_code != httpx.codes.OK:
        raise Refused(f"The call was answered with {answer.status_code}.", hint=answer.text[:2000])
    return took_ms, answer


def _command(url: str, data_dir: Path, *words: str) -> None:
    """One of our own commands, as a user would type it."""
    _echo(" ".join(("aether", *words)))
    environment = os.environ | {"AETHER_URL": url, "AETHER_KEY": "", "AETHER_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "aether.cli", *words]
    ran = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
    if ran.returncode != 0:
        raise Refused(f"aether {words[0]} failed.")


def _echo(command: str) -> None:
    say(f"\n{bold('$', sys.stderr)} {command}")


def _left_behind(data_dir: Path, machines: list[Path]) -> list[str]:
    """Sockets and temporary files of the platform, and machines that outlived it."""
    found = [str(p) for folder in ("run", "work") for p in (data_dir / folder).rglob("*") if not p.is_dir()]
    return found + [f"process {machine.name}" for machine in machines if machine.exists()]


def _machines(process: subprocess.Popen[bytes]) -> list[Path]:
    """The VMM processes of a platform, in /proc."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [Path("/proc") / child for child in children]
