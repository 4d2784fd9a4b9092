"""Redis: jobs, notifications and functions' output."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import AuthenticationError, NoPermissionError

from aether.adapters.redis.clients import RedisClients, Refused, answering
from aether.adapters.redis.names import SHARED
from aether.cli.settings import Settings
from aether.cli.stores.failing import StoreAway, StoreRefuses, Target, ready, target
from aether.cli.stores.tls import authorities_of, own_certificate, speaks_tls
from aether.domain.errors import StoreUnavailable

OLDEST = (6, 2)
"""Source: what the scripts use, BLMOVE before all."""


@asynccontextmanager
async def open_redis(settings: Settings, *, wait: bool) -> AsyncIterator[RedisClients]:
    """Connected, and looked at. Raises StoreFailed, InvalidSettings."""
    async with aclosing(_clients(settings)) as clients:
        await ready(lambda: look(settings, clients), wait=wait)
        yield clients


async def look(settings: Settings, clients: RedisClients) -> None:
    """Whether it has us, and is new enough. Raises StoreFailed."""
    at = redis_target(settings)
    try:
        async with answering("answer"):
            await clients.commands.ping()
            await clients.commands.llen(SHARED)
            script: Any = clients.commands.eval("return 1", 0)
            await script
            found: Any = await clients.commands.info("server")
    except StoreUnavailable as error:
        raise _failure(settings, at, error) from None
    version = str(found.get("redis_version", ""))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        raise StoreRefuses(
            at, f"it is version {version}, and {'.'.join(map(str, OLDEST))} or later is needed"
        )


def redis_target(settings: Settings) -> Target:
    return target(settings, "Redis", "redis_addr", str(settings.redis_addr))


def _failure(settings: Settings, at: Target, error: StoreUnavailable) -> StoreAway | StoreRefuses:
    cause, reason = error.__cause__, error.message.partition(": ")[2]
    match cause:
        case AuthenticationError():
            user = settings.redis_user or urlsplit(settings.redis_addr.get_secret_value()).username
            name = settings.told_name("redis_password")
            return StoreRefuses(
                at, reason, f"{settings.told_name('redis_user')} and {name}" if user else name
            )
        case NoPermissionError():
            return StoreRefuses(at, reason, settings.told_name("redis_user"))
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return StoreRefuses(at, reason, settings.told_name("redis_ca"))
    return StoreRefuses(at, reason) if isinstance(error, Refused) else StoreAway(at, reason)


def _clients(settings: Settings) -> RedisClients:
    url = settings.redis_addr.get_secret_value()
    more: dict[str, Any] = {}
    if settings.redis_user:
        more["username"] = settings.redis_user
    if password := settings.redis_password.get_secret_value():
        more["password"] = password
    if speaks_tls(settings, "redis", "redis_addr", secure=url.startswith("rediss://")):
        if authorities := authorities_of(settings, "redis_ca"):
            more["ssl_ca_certs"] = str(authorities)
        if pair := own_certificate(settings, "redis"):
            more["ssl_certfile"], more["ssl_keyfile"] = map(str, pair)
    return RedisClients.open(url, **more)
