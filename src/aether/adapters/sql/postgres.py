"""What only PostgreSQL needs: its URL, connections that don't wait for ever, and who may migrate."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import structlog
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

log = structlog.get_logger()

CONNECTIONS = 5
"""Of one process, unless its URL says `pool_size`. The request path has no need of any."""
CONNECT_WITHIN_S = 5
CLOSE_WITHIN_S = 1.0
"""A server that is stopped would never hear the goodbye."""
PEER_GONE_AFTER_S = 6
"""A host that vanished is noticed by its not acknowledging anything for so long."""
STATEMENT_WITHIN_MS = 8_000
MIGRATE_WITHIN_MS = 3_600_000
"""An index over millions of calls takes its time, and others wait for their turn."""
IDLE_IN_TRANSACTION_MS = 15_000
"""A process that was stopped in a transaction must not hold its locks for ever."""

SERVER_SETTINGS = {
    "application_name": "aether",
    "statement_timeout": str(STATEMENT_WITHIN_MS),
    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
    "jit": "off",  # compiling costs more than any statement of ours
}
MIGRATION_LOCK = 0x616574686572
"""The key of the advisory lock that migrations run under: "aether"."""


@dataclass(frozen=True, slots=True)
class Address:
    """A database's URL, as libpq has them: `sslmode`, `sslrootcert`, several hosts and so on count."""

    dsn: str = field(repr=False)
    """Its password and all."""
    pool_size: int
    connect_within_s: int
    settings: frozenset[str]
    """What the URL itself sets at the server."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """`pool_size` and `connect_timeout` are taken out of the URL's arguments. Raises ValueError."""
        parts = urlsplit(url)
        if not parts.scheme.startswith("postgres"):
            raise ValueError("not a PostgreSQL URL")
        arguments = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        pool_size = _positive("pool_size", arguments.pop("pool_size", CONNECTIONS))
        connect_within_s = _positive("connect_timeout", arguments.pop("connect_timeout", CONNECT_WITHIN_S))
        dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(arguments), ""))
        return cls(dsn, pool_size, connect_within_s, frozenset(arguments))


def _positive(name: str, value: str | int) -> int:
    if not str(value).isdecimal() or not int(value):
        raise ValueError(f"{name} in the database's URL must be a whole number from 1 on, not {value!r}")
    return int(value)


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    """Notices a host that is gone, and ends without one that doesn't answer."""

    __slots__ = ()

    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PEER_GONE_AFTER_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_GONE_AFTER_S * 1000)

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's own
        try:
            await super().close(timeout=min(timeout or CLOSE_WITHIN_S, CLOSE_WITHIN_S))
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.terminate()


def engine(address: Address) -> AsyncEngine:
    """Connections that broke meanwhile are noticed when they are taken, and made anew."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=_connector(address, SERVER_SETTINGS),
        pool_size=address.pool_size,
        max_overflow=0,
        pool_timeout=STATEMENT_WITHIN_MS / 1000,
        pool_pre_ping=True,
    )


def migrating_engine(address: Address) -> AsyncEngine:
    """One connection whose statements may take long."""
    patient = SERVER_SETTINGS | {"statement_timeout": str(MIGRATE_WITHIN_MS)}
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=_connector(address, patient), pool_size=1, max_overflow=0
    )


def lock(connection: Connection) -> None:
    """Until the transaction ends, by whatever way, no other process migrates."""
    key = {"key": MIGRATION_LOCK}
    if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), key):
        log.info("another process brings the database up to date, waiting for it")
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), key)


def _connector(address: Address, settings: dict[str, str]) -> Callable[[], Awaitable[Any]]:
    ours = {name: value for name, value in settings.items() if name not in address.settings}

    async def connect() -> Any:
        return await asyncpg.connect(
            address.dsn,
            timeout=address.connect_within_s,
            server_settings=ours,
            connection_class=_Connection,
        )

    return connect
