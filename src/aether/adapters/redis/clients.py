"""Connections to Redis, and what their failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from aether.adapters.redis.pipe import Pipe
from aether.domain.errors import StoreUnavailable

CONNECT_WITHIN_S = 2.0
ANSWER_WITHIN_S = 5.0
WAIT_S = 5
"""The longest that Redis is asked to wait for something; asked again, it shows that it lives."""
CONNECTIONS = 16
_FOR_NOW = (OutOfMemoryError, ReadOnlyError)


class Refused(StoreUnavailable):
    """Redis answered, and will not do it, now or later: what lies there is of another kind, for example."""


@dataclass(frozen=True, slots=True)
class RedisClients:
    commands: Redis
    waiting: Redis
    """For what waits: as many connections as there are waits."""
    pipe: Pipe
    """For what there is much of, and that Redis answers at once."""

    @classmethod
    def open(cls, url: str, **more: Any) -> RedisClients:
        """`redis://[user:password@]host:port/db`, `rediss://` with TLS, or `host:port`. Connects on demand.

        `more` goes to the connections: `password`, `ssl_ca_certs` and the like. Nothing is tried twice: a
        command whose answer is lost may have been carried out. Raises ValueError for what is no such URL.
        """
        if "://" not in url:
            url = f"redis://{url}"
        how: dict[str, Any] = {
            "socket_connect_timeout": CONNECT_WITHIN_S,
            "retry": Retry(NoBackoff(), 0),
            # With a limit here, sending goes through `asyncio.wait_for`, which can swallow a cancellation
            # (CPython before 3.12): `answering` has the limit.
            "socket_timeout": None,
            **more,
        }
        commands = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=ANSWER_WITHIN_S,
            **how,
        )
        waiting = ConnectionPool.from_url(url, **how)
        return cls(Redis(connection_pool=commands), Redis(connection_pool=waiting), Pipe(waiting))

    def another_pipe(self) -> Pipe:
        """For one that makes Redis wait; who asked for it closes it."""
        return Pipe(self.waiting.connection_pool)

    async def aclose(self) -> None:
        await self.pipe.aclose()
        for client in (self.commands, self.waiting):
            await client.aclose()
            await client.connection_pool.disconnect()


@asynccontextmanager
async def answering(what: str, within_s: float | None = ANSWER_WITHIN_S) -> AsyncIterator[None]:
    """Raises StoreUnavailable for whatever keeps Redis from doing `what`."""
    try:
        async with asyncio.timeout(within_s):
            yield
    except TimeoutError:
        message = f"Redis does not {what}: no answer within {within_s} s"
        raise StoreUnavailable(message, component="queue") from None
    except (RedisError, OSError) as error:
        for_now = not isinstance(error, ResponseError) or isinstance(error, _FOR_NOW)
        kind = StoreUnavailable if for_now else Refused
        raise kind(f"Redis does not {what}: {error}", component="queue") from error
