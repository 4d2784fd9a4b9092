"""The fields of a request that are the platform's own, and what they say."""

from __future__ import annotations

from aether.domain.deadline import Deadline
from aether.domain.errors import BadRequest
from aether.http import Request

KEY_FIELD = "X-Aether-Cluster-Key"
"""By it instances' proxies know gateways of their cluster."""
OURS = frozenset(
    {
        *(b"x-call-id", b"x-timeout-ms", b"x-aether-deadline-ms", b"x-aether-refused"),
        *(b"x-aether-instance", KEY_FIELD.lower().encode()),
    }
)
OURS_AND_KEY = OURS | {b"authorization"}
MAX_TIMEOUT_DIGITS = 15
"""Numbers of thousands of digits are no times, and take Python's conversions beyond what they can."""


def shortened(deadline: Deadline, request: Request, now_s: float) -> Deadline:
    """By `X-Timeout-Ms`, where it comes first. Raises BadRequest."""
    told = request.header(b"x-timeout-ms")
    if told is None:
        return deadline
    if len(told) > MAX_TIMEOUT_DIGITS or not told.isdigit() or not int(told):
        raise BadRequest(
            "X-Timeout-Ms must be a whole number of milliseconds above zero, "
            f"of {MAX_TIMEOUT_DIGITS} digits at most"
        )
    return deadline.sooner(int(told) / 1000, now_s)


def to_drop(request: Request, authorizations: frozenset[bytes]) -> frozenset[bytes]:
    """Our own fields, and the platform's key: a function must not see an operator's."""
    told = request.header(b"authorization")
    return OURS_AND_KEY if told is not None and told in authorizations else OURS
