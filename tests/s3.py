"""An S3 server for tests: rclone, as `tools/s3-server.sh` puts it into the user's cache.

It checks signatures (version 4), takes multipart uploads as streams, gives objects the MD5 of their bytes
as ETag, and shows no object before all of it is there. Of conditions it knows If-None-Match on reads alone;
it takes parts of any size, and has no word for a full disk but `InternalError`.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engines import Engine, running

from aether.adapters.objects.s3 import S3Account


def program() -> Path:
    cache = os.environ.get("AETHER_CACHE_DIR") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "aether"
    )
    return Path(cache, "tools", "s3", "bin", "rclone")


class S3Server(Engine):
    """Buckets are folders of `directory/buckets`. It may miss what is written there by others."""

    program, package = "rclone", "make test-programs"
    access_key = "aether-tests"
    secret_key = "only-for-tests"
    certificate: tuple[Path, Path] | None = None
    """Files of a chain and its key: then it speaks TLS."""

    @classmethod
    def installed(cls) -> bool:
        return program().exists()

    @property
    def buckets(self) -> Path:
        return self.directory / "buckets"

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.address}"

    def account(self, **changes: object) -> S3Account:
        """Who may do anything there."""
        account = S3Account(self.url, self.access_key, self.secret_key)
        return replace(account, **changes)  # type: ignore[arg-type]

    def command(self) -> list[str]:
        words = f"--addr {self.address} --config {self.directory}/none --cache-dir {self.directory}/cache"
        if self.certificate is not None:
            words += f" --cert {self.certificate[0]} --key {self.certificate[1]}"
        keys = f"{self.access_key},{self.secret_key}"
        return [str(program()), "serve", "s3", *words.split(), "--auth-key", keys, str(self.buckets)]

    def answers(self, sock: socket.socket) -> bool:
        if self.certificate is not None:
            return True
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return sock.recv(64).startswith(b"HTTP/1.")

    def spawn(self) -> None:
        self.buckets.mkdir(exist_ok=True)
        super().spawn()

    def lose_everything(self) -> None:
        """Killed, and started again with an empty disk."""
        self.kill()
        subprocess.run(["rm", "-rf", self.buckets], check=True)
        self.start()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running(S3Server) as server:
        assert isinstance(server, S3Server)
        yield server
