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
    """By the last address of X-Forwarded-For, which our own edge wrote: only it reaches this API."""
    forwarded = ",".join(headers.getlist("x-forwarded-for"))
    try:
        return ipaddress.ip_address(forwarded.rpartition(",")[2].strip()).is_loopback
    except ValueError:
        return False
