"""`make cluster`: a cluster on this machine to look at, with an example deployed, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import socket
import sys
from pathlib import Path

from tests.cluster.able import why_not
from tests.cluster.cluster import REPOSITORY, Cluster, Plan, running
from tests.cluster.run import sweep

EXAMPLE = REPOSITORY / "examples" / "hello-node"
LOOK_EVERY_S = 2.0
FIGURES = re.compile(r"[\d.]+ (ms|[KMGT]?B)\b|[ ]+")
"""Times and sizes, which change all the time."""
REFUSED = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=8080, help="of haproxy, on 127.0.0.1 (make cluster PORT=N)"
    )
    given = parser.parse_args()
    why_not = _why_not(given.port)
    if why_not:
        print(f"error: {why_not}", file=sys.stderr)
        return REFUSED
    for name in sweep():
        print(f"Removed what the killed run {name} had left.")
    return asyncio.run(_show(given.port))


def _why_not(port: int) -> str:
    """What keeps it from starting, and what to do; empty when nothing does."""
    reason = why_not("make cluster")
    if reason:
        return reason
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError as error:
            return f"port {port} on 127.0.0.1: {error.strerror}. Take another: make cluster PORT=8090"
    return ""


async def _show(port: int) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    print(
        "Starting etcd, Redis, PostgreSQL, an S3 server, three workers, two gateways and haproxy.", flush=True
    )
    try:
        async with running(Plan(front=f"127.0.0.1:{port}")) as cluster:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop.set)
            await _until(stop, _deploy(cluster, port))
            await _until(stop, _follow(cluster))
            print("\nStopping.", flush=True)
    except asyncio.CancelledError:
        print("\nStopped before it was up.", flush=True)
    return 0


async def _deploy(cluster: Cluster, port: int) -> None:
    print(f"\nhaproxy     http://127.0.0.1:{port}")
    for gateway, api in zip(cluster.gateways, cluster.api, strict=True):
        print(f"{gateway.name:11} {api.http.base_url}")
    for host in cluster.hosts:
        print(f"{host.name:11} {host.address}")
    print(f"API key     {cluster.key}")
    print(
        f"logs        {cluster.directory}/*.log\n\nDeploying {EXAMPLE.relative_to(REPOSITORY)}:", flush=True
    )
    print(await cluster.aether("deploy", str(EXAMPLE), "--name", "hello"))
    print(f"  curl http://127.0.0.1:{port}/functions/hello\n{await cluster.aether('invoke', 'hello')}")
    aether = Path(sys.executable).with_name("aether")
    print(f"Try: AETHER_URL=http://127.0.0.1:{port} AETHER_KEY={cluster.key} {aether} worker list")
    print("Ctrl-C stops it and leaves nothing behind.\n", flush=True)


async def _follow(cluster: Cluster) -> None:
    """Show `aether status`: in place on a terminal, else whenever more than a figure changes."""
    live, before = sys.stdout.isatty(), ""
    while True:
        status = await cluster.aether("status")
        if live:
            # Back to where the one before began, and nothing of it stays.
            print(f"\033[{before.count(chr(10))}F\033[J" * bool(before) + status, end="", flush=True)
        elif FIGURES.sub("", status) != FIGURES.sub("", before):
            print(status, flush=True)
        before = status
        await asyncio.sleep(LOOK_EVERY_S)
        for process in cluster.processes:
            if not process.runs:
                raise RuntimeError(f"{process.name} has ended:\n{process.last_lines()}")


async def _until(stop: asyncio.Event, work: object) -> None:
    """Do it, unless it is to stop."""
    working = asyncio.ensure_future(work)  # type: ignore[call-overload]
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
    else:
        working.cancel()


if __name__ == "__main__":
    sys.exit(main())
