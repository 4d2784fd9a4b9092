"""Unix sockets by directory and short name, however long the directory's path is.

A socket's address holds 108 bytes; going through the directory's descriptor needs few of them.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

MONITOR, CONTROL, CONSOLE = "monitor", "control", "console"
BACKLOG = 4


def listen(directory: Path, name: str) -> socket.socket:
    """A listening socket for QEMU to inherit. Clients may connect at once: the kernel queues them."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(directory, name) as address:
            server.bind(address)
        server.listen(BACKLOG)
    except BaseException:
        server.close()
        raise
    return server


def connect(directory: Path, name: str) -> socket.socket:
    """A connected, non-blocking socket. Raises OSError when nobody listens."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.setblocking(False)
        with _address(directory, name) as address:
            client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


@contextlib.contextmanager
def _address(directory: Path, name: str) -> Iterator[str]:
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
