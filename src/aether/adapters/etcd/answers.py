"""What etcd answers, as JSON: results, refusals, and what only means that it is away."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from aether.domain.errors import StoreUnavailable

NOT_FOUND, OUT_OF_RANGE, UNAUTHENTICATED = 5, 11, 16
"""gRPC status codes: of a lease that is gone, of a compacted revision, of a token that is no longer good."""
_UNAVAILABLE = {1, 4, 8, 14}
"""cancelled, deadline exceeded, resource exhausted, unavailable (no leader): later it may go."""


class Refused(StoreUnavailable):
    """etcd answered, and will not do it."""

    def __init__(self, call: str, code: int, reason: str) -> None:
        super().__init__(f"etcd refused {call}: {reason}", component="registry")
        self.grpc_code = code


def text(value: str | bytes) -> str:
    """As the gateway wants bytes: base64."""
    return b64encode(value.encode() if isinstance(value, str) else value).decode()


def plain(value: str) -> bytes:
    return b64decode(value)


def checked(name: str, answer: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(answer)
    except ValueError as error:
        raise away(name, f"an answer that is not JSON: {answer[:100]!r}") from error
    if not isinstance(fields, dict):
        raise away(name, f"an answer that is no object: {answer[:100]!r}")
    if "result" in fields or "error" in fields:
        return result_of(name, fields)
    return dict(fields)


def result_of(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    error = fields.get("error")
    if error is None:
        return dict(fields["result"])
    # In a stream it is an object; for a call, its fields lie beside it.
    details: Mapping[str, Any] = error if isinstance(error, dict) else fields
    code = int(details.get("grpc_code") or details.get("code") or 2)
    reason = str(details.get("message", error))
    if code in _UNAVAILABLE:
        raise away(name, reason)
    raise Refused(name, code, reason)


def away(name: str, reason: str) -> StoreUnavailable:
    return StoreUnavailable(f"etcd does not answer {name}: {reason}", component="registry")
