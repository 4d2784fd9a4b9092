"""The stores of a cluster: real servers, on this host's side of its bridge."""

from __future__ import annotations

import asyncio
import secrets
import socket
from pathlib import Path

import asyncpg
from tests.engines import Engine, EtcdServer, RedisServer
from tests.postgres import PostgresServer
from tests.s3 import S3Server


class GuardedRedis(RedisServer):
    """Redis that asks for a password: whoever is on the bridge could reach it."""

    password = secrets.token_hex(8)

    def command(self) -> list[str]:
        return [*super().command(), "--requirepass", self.password]

    def answers(self, sock: socket.socket) -> bool:
        sock.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
        return sock.recv(64).endswith(b"+PONG\r\n")

    def flush(self) -> None:
        """FLUSHALL: everything in it is gone."""
        with socket.create_connection((self.host, self.port), timeout=5) as sock:
            sock.sendall(f"AUTH {self.password}\r\nFLUSHALL\r\n".encode())
            answer = sock.recv(64)
            assert answer.endswith(b"+OK\r\n"), answer


class Stores:
    """All of them, each in a folder of its own. `environment` is what roles are told of them."""

    def __init__(self, directory: Path, host: str) -> None:
        def made(name: str) -> Path:
            folder = directory / name
            folder.mkdir(parents=True)
            return folder

        self.etcd = EtcdServer(made("etcd"), host)
        self.redis = GuardedRedis(made("redis"), host)
        self.postgres = PostgresServer(made("postgres"), host)
        self.s3 = S3Server(made("s3"), host)

    @property
    def servers(self) -> dict[str, Engine]:
        return {"etcd": self.etcd, "redis": self.redis, "s3": self.s3, "postgres": self.postgres}

    @property
    def environment(self) -> dict[str, str]:
        return {
            "ETCD_ENDPOINTS": self.etcd.address,
            "REDIS_ADDR": self.redis.address,
            "AETHER_REDIS_PASSWORD": self.redis.password,
            "MINIO_ENDPOINT": self.s3.address,
            "MINIO_ACCESS_KEY": self.s3.access_key,
            "MINIO_SECRET_KEY": self.s3.secret_key,
            "AETHER_DATABASE_URL": self.postgres.url,
        }

    async def start(self) -> None:
        """All at once; returns when each answers."""
        for server in self.servers.values():
            server.spawn()
        await asyncio.gather(*(asyncio.to_thread(server.wait) for server in self.servers.values()))

    async def rows(self, query: str) -> list[str]:
        """The first column of what PostgreSQL answers."""
        connection = await asyncpg.connect(self.postgres.url)
        try:
            return [str(row[0]) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    def stop(self) -> None:
        for server in self.servers.values():
            server.kill()
