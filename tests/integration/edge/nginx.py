"""Debian's nginx on loopback, for as long as a test takes."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

needs_nginx = pytest.mark.skipif(
    PROGRAM is None, reason="nginx is not installed: apt-get install nginx-light"
)

MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
}}
"""


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


@asynccontextmanager
async def nginx(folder: Path, http: str, port: int) -> AsyncIterator[None]:
    """Runs nginx with these contents of its `http` block until it is left; they listen on `port`."""
    assert PROGRAM is not None
    folder.mkdir(exist_ok=True)
    config = folder / "nginx.conf"
    config.write_text(MAIN.format(folder=folder, http=http))
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "-p", folder, "-c", config, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    assert process.returncode is None, (folder / "error.log").read_text()
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    break
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
