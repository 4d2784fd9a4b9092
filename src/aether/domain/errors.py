"""The tree of errors that the platform tells its users about.

AetherError
├── InvalidRequest          400 invalid             a field or the body is wrong; `fields` says which
├── ArchiveRejected         400 archive_rejected
├── BadRequest              400 bad_request         malformed HTTP
├── Unauthenticated         401 unauthenticated
├── Forbidden               403 forbidden
├── NotFound                404 not_found
│   └── FunctionNotFound    404 function_not_found
├── RequestTimeout          408 request_timeout
├── NameTaken               409 name_taken
├── NoCode                  409 no_code
├── TooLarge                413 too_large
├── OverLimit               429 over_limit          Retry-After
├── InstanceFailed          502 instance_failed     console tail in the hint
├── NoCapacity              503 no_capacity         Retry-After
├── QueueFull               503 queue_full          Retry-After
├── StoreUnavailable        503 store_unavailable   Retry-After
├── DeadlineExceeded        504 deadline_exceeded   the message names the phase
└── DiskFull                507 disk_full

Source of codes and statuses: the wire contract, table "Invocation". The relay's own refusals
(413 `body_too_large`, 414, 431) are made in `aether.http`, which knows nothing of this module.
"""

from __future__ import annotations

from collections.abc import Mapping


class AetherError(Exception):
    """An error with a code, an HTTP status and, where there is one, what to do about it."""

    code = "internal"
    status = 500
    retry_after_s: int | None = None

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        fields: Mapping[str, str] | None = None,
        component: str = "gateway",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = dict(fields) if fields else None
        self.component = component

    def body(self, call_id: str | None) -> dict[str, object]:
        """The JSON form: `{"error": {code, message, component, call_id, hint?, fields?}}`."""
        error: dict[str, object] = {
            "code": self.code,
            "message": self.message,
            "component": self.component,
            "call_id": call_id,
        }
        if self.hint is not None:
            error["hint"] = self.hint
        if self.fields:
            error["fields"] = self.fields
        return {"error": error}


class InvalidRequest(AetherError):
    code, status = "invalid", 400


class ArchiveRejected(AetherError):
    code, status = "archive_rejected", 400


class BadRequest(AetherError):
    code, status = "bad_request", 400


class Unauthenticated(AetherError):
    code, status = "unauthenticated", 401


class Forbidden(AetherError):
    code, status = "forbidden", 403


class NotFound(AetherError):
    code, status = "not_found", 404


class FunctionNotFound(NotFound):
    code = "function_not_found"


class RequestTimeout(AetherError):
    code, status = "request_timeout", 408


class NameTaken(AetherError):
    code, status = "name_taken", 409


class NoCode(AetherError):
    code, status = "no_code", 409


class TooLarge(AetherError):
    code, status = "too_large", 413


class OverLimit(AetherError):
    code, status, retry_after_s = "over_limit", 429, 1


class InstanceFailed(AetherError):
    code, status = "instance_failed", 502


class NoCapacity(AetherError):
    code, status, retry_after_s = "no_capacity", 503, 1


class QueueFull(AetherError):
    code, status, retry_after_s = "queue_full", 503, 1


class StoreUnavailable(AetherError):
    code, status, retry_after_s = "store_unavailable", 503, 1


class DeadlineExceeded(AetherError):
    code, status = "deadline_exceeded", 504


class DiskFull(AetherError):
    code, status = "disk_full", 507
