"""The management API as a server on a Unix socket, behind the edge."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

BACKLOG = 256


class ApiServer(uvicorn.Server):
    """uvicorn without its signal handlers: the process has one owner, and it isn't the API."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def _unix_socket(path: Path) -> Iterator[socket.socket]:
    """A listening socket that only its owner can reach, gone afterwards."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)
        sock.listen(BACKLOG)
        yield sock
    finally:
        sock.close()
        path.unlink(missing_ok=True)


async def serve_api(app: FastAPI, path: Path, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; running calls end first (follows of logs are cut)."""
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = ApiServer(config)
    with _unix_socket(path) as sock:
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[sock]), name="management API")
            await stop.wait()
            server.should_exit = True
