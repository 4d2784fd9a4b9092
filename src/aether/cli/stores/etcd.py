"""etcd: the registry of roles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from aether.adapters.etcd.answers import Refused, text
from aether.adapters.etcd.json_gateway import Credentials, JsonGateway
from aether.cli.settings import InvalidSettings, Settings
from aether.cli.stores.failing import StoreAway, StoreRefuses, Target, ready, target
from aether.cli.stores.tls import context, speaks_tls
from aether.domain.errors import StoreUnavailable

LOOKED_FOR = ("/workers/", "/functions/", "/config/functions/", "/aether/")
PERMISSION_DENIED = 7
NEVER = 1 << 40
"""A version that no key has."""


@asynccontextmanager
async def open_etcd(settings: Settings, *, wait: bool) -> AsyncIterator[JsonGateway]:
    """Connected, and looked at. Raises StoreFailed, InvalidSettings."""
    async with aclosing(_client(settings)) as client:
        await ready(lambda: look(settings, client), wait=wait)
        yield client


async def look(settings: Settings, client: JsonGateway) -> None:
    """Whether we may read and write what we need. Raises StoreFailed."""
    at = etcd_target(settings)
    try:
        for prefix in LOOKED_FOR:
            await client.call("kv/txn", _never_done(prefix))
    except Refused as refused:
        setting = (
            "etcd_user"
            if refused.grpc_code == PERMISSION_DENIED or not settings.etcd_user
            else "etcd_password"
        )
        raise StoreRefuses(at, _reason(refused.message), settings.told_name(setting)) from None
    except StoreUnavailable as away:
        if "CERTIFICATE_VERIFY_FAILED" in away.message:
            raise StoreRefuses(at, _reason(away.message), settings.told_name("etcd_ca")) from None
        raise StoreAway(at, _reason(away.message)) from None


def _never_done(prefix: str) -> dict[str, Any]:
    """A reading and a writing that etcd checks for permission, on a condition that never holds."""
    key = {"key": text(prefix), "range_end": text(prefix[:-1] + "0")}
    return {
        "compare": [
            {"key": text(prefix), "target": "VERSION", "result": "GREATER", "version": str(NEVER)},
        ],
        "success": [
            {"requestRange": key | {"count_only": True}},
            {"requestPut": {"key": text(f"{prefix}none"), "value": text("")}},
        ],
    }


def etcd_target(settings: Settings) -> Target:
    return target(settings, "etcd", "etcd_endpoints", settings.etcd_endpoints)


def _client(settings: Settings) -> JsonGateway:
    endpoints = settings.etcd_endpoints.split(",")
    secure = any(endpoint.startswith("https://") for endpoint in endpoints)
    user, password = settings.etcd_user, settings.etcd_password.get_secret_value()
    if bool(user) != bool(password):
        missing = settings.told_name("etcd_password" if user else "etcd_user")
        raise InvalidSettings(
            f"{missing} is missing: a user goes with its password.", fields={missing: "missing"}
        )
    return JsonGateway(
        endpoints,
        credentials=Credentials(user, password) if user else None,
        tls=context(settings, "etcd")
        if speaks_tls(settings, "etcd", "etcd_endpoints", secure=secure)
        else None,
    )


def _reason(message: str) -> str:
    """Without the words that say it is etcd, which the sentence has already."""
    return message.partition(": ")[2] or message
