"""What was seen of a request, against what it should have got.

Source of the words: the wire contract, "Words of the tests", and its table of errors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.faults.load.connection import Seen
from tests.faults.load.request import TOKEN_HEADER, LoadRequest

GRACE_S = 1.0
"""A client on a busy machine may notice an answer so much later than it was sent."""
OK = 200

STATUS_OF = {
    "bad_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "function_not_found": 404,
    "no_code": 409,
    "request_timeout": 408,
    "body_too_large": 413,
    "uri_too_long": 414,
    "headers_too_large": 431,
    "over_limit": 429,
    "instance_failed": 502,
    "no_capacity": 503,
    "queue_full": 503,
    "store_unavailable": 503,
    "deadline_exceeded": 504,
}
CUT = "cut_short"
"""In place of an error's code: the answer had begun and broke off, so that the client could tell."""
TELLS_WHEN_TO_RETRY = {"over_limit", "no_capacity", "queue_full", "store_unavailable"}


class Verdict(StrEnum):
    ANSWERED = "answered"
    PLATFORM_ERROR = "platform_error"
    LOST = "lost"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Judged:
    request: LoadRequest
    seen: Seen
    verdict: Verdict
    reason: str = ""
    """Of anything but an answer; of a platform error, its message."""
    code: str = ""
    document: Mapping[str, Any] | None = None
    """What the function said."""
    phase: str = ""

    @property
    def took_ms(self) -> float:
        return (self.seen.ended_s - self.seen.due_s) * 1000


def judge(request: LoadRequest, seen: Seen, deadline_s: float, phase: str = "") -> Judged:
    """`deadline_s` is the function's, from when the request was sent."""

    def found(verdict: Verdict, reason: str = "", code: str = "", document: Any = None) -> Judged:
        return Judged(request, seen, verdict, reason, code, document, phase)

    if seen.surplus:
        return found(Verdict.WRONG, f"more came than one answer: {seen.surplus[:60]!r}")
    problem = _not_in_time(seen, deadline_s)
    if problem:
        return found(Verdict.LOST, problem, CUT if seen.broke_off else "")
    problem = _call_id(request, seen)
    if problem and not _unread(seen):
        return found(Verdict.WRONG, problem)
    if seen.status == OK:
        document, problem = _function_answer(request, seen)
        return found(Verdict.WRONG if problem else Verdict.ANSWERED, problem, document=document)
    error, problem = _platform_error(seen)
    if problem:
        return found(Verdict.LOST, problem)
    return found(Verdict.PLATFORM_ERROR, str(error["message"]), str(error["code"]), error)


def _not_in_time(seen: Seen, deadline_s: float) -> str:
    """Why it is no whole answer in time; empty when it is one."""
    if not seen.whole or seen.fault:
        after = f" after {len(seen.body)} bytes of a {seen.status}" if seen.status else ""
        return (seen.fault or "cut") + after
    took_s = seen.ended_s - seen.sent_s
    if took_s > deadline_s + GRACE_S:
        return f"late: {took_s:.1f} s, with {deadline_s:.1f} s to the deadline"
    return f"a {seen.status} of the proxy in front" if _of_front_proxy(seen) else ""


def _call_id(request: LoadRequest, seen: Seen) -> str:
    told = seen.headers.get("x-call-id")
    if not told:
        return f"a {seen.status} without X-Call-Id"
    if request.tells_call_id and told != request.token:
        return f"the answer to call {told[:60]}"
    return ""


def _of_front_proxy(seen: Seen) -> bool:
    """haproxy's own page, in place of an answer that it didn't get."""
    return "x-call-id" not in seen.headers and seen.body.startswith(b"<html><body><h1>5")


def _unread(seen: Seen) -> bool:
    """Refused as a connection, before any request on it was read: its call id can't be known."""
    return seen.status == STATUS_OF["queue_full"] and seen.headers.get("connection") == "close"


def _function_answer(request: LoadRequest, seen: Seen) -> tuple[Any, str]:
    try:
        document = json.loads(seen.body)
        headers = dict(document["headers"])
        method, path, body = document["method"], document["path"], document["body"]
        count = document["body_bytes"]
    except (ValueError, KeyError, TypeError) as error:
        return None, f"not what the function says ({error!r}): {seen.body[:60]!r}"
    if headers.get(TOKEN_HEADER) != request.token or path != request.path or method != request.method:
        return document, f"another request's answer: {method} {path[:60]}"
    if count != len(request.body) or body.encode() != request.body:
        return document, f"a body of {count} bytes had reached the function, not {len(request.body)}"
    return document, ""


def _platform_error(seen: Seen) -> tuple[dict[str, Any], str]:
    """The error in the contract's form, or why it is none."""
    try:
        error = json.loads(seen.body)["error"]
        code, message, call_id = error["code"], error["message"], error["call_id"]
    except (ValueError, KeyError, TypeError):
        return {}, f"{seen.status} that is no error of the platform's: {seen.body[:60]!r}"
    if STATUS_OF.get(code) != seen.status:
        return {}, f"{seen.status} with code {code}: {message}"
    if call_id != seen.headers["x-call-id"]:
        return {}, f"{code} for call {call_id} in the answer to {seen.headers['x-call-id']}"
    if not seen.headers.get("content-type", "").startswith("application/json"):
        return {}, f"{code} as {seen.headers.get('content-type')}"
    if code in TELLS_WHEN_TO_RETRY and not seen.headers.get("retry-after", "").isdigit():
        return {}, f"{code} without Retry-After"
    return error, ""
