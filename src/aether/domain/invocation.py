"""One call of a function, as recorded after it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class InvocationStatus(StrEnum):
    SUCCESS = "success"
    ERROR = "error"
    """The function answered 5xx, or the platform could not have it answer."""
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    """The client went before the answer was whole."""


# Not frozen: one is made for every call, and a frozen one takes three times as long to make.
@dataclass(slots=True)
class Invocation:
    """A row of the `invocations` table; `started_at` is aware, in UTC."""

    id: str
    function_id: str
    status: InvocationStatus
    duration_ms: int
    started_at: datetime
    error_message: str | None = None
    instance_id: str | None = None
    http_status: int | None = None
    method: str = ""
    path: str = ""
    cold: bool = False
    phases: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds by phase, as in `Server-Timing`."""
    call_id: str = ""
    """`X-Call-Id`; a caller's own may stand on several calls."""
    attempts: int = 0
    """Instances that it was sent to, one after the other: all but the last refused it or broke."""
