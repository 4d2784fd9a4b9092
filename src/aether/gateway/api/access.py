"""Who may call what."""

from __future__ import annotations

import ipaddress
import secrets

from starlette.datastructures import Headers

from aether.domain.errors import Forbidden, Unauthenticated

_GUARDED = "/api"
_METRICS = "/metrics"


def check_access(path: str, headers: Headers, api_keys: frozenset[str] | None) -> None:
    """Raises Unauthenticated without a key, Forbidden with one that is not known."""
    if api_keys is None or not (path == _GUARDED or path.startswith((f"{_GUARDED}/", _METRICS))):
        return
    if path == _METRICS and _from_loopback(headers):
        return
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthenticated("this call needs a key", hint="send it as 'Authorization: Bearer KEY'")
    if not _is_known(key.strip(), api_keys):
        raise Forbidden(
            "this key may not do that", hint="it may have been replaced, or be another platform's"
        )


def _is_known(key: str, api_keys: frozenset[str]) -> bool:
    # Against each one, in a time that tells nothing of how much of it was right.
    given = key.encode(errors="surrogateescape")
    return sum(secrets.compare_digest(given, known.encode()) for known in api_keys) > 0


def _from_loopback(headers: Headers) -> bool:
    """By X-Forwarded-For, the last of which our own edge wrote: only it reaches this API.

    All of it counts: a front proxy on this host is on loopback, and its clients need not be.
    """
    forwarded = ",".join(headers.getlist("x-forwarded-for")).split(",")
    try:
        return all(ipaddress.ip_address(address.strip()).is_loopback for address in forwarded)
    except ValueError:
        return False
