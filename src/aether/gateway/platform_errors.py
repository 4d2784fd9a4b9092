"""Errors of a call as answers: the one place where they are worded for HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable

from aether.domain.errors import (
    AetherError,
    BadRequest,
    DeadlineExceeded,
    InstanceFailed,
    NoCapacity,
    QueueFull,
    RequestTimeout,
    TooLarge,
)
from aether.domain.ids import CALL_ID, new_call_id
from aether.http import LOST, Answer, Failure, FailureKind, Phase, Request

_REFUSALS = {
    408: "request_timeout",
    413: "body_too_large",
    414: "uri_too_long",
    431: "headers_too_large",
    503: "queue_full",
}


class BodyTooLarge(TooLarge):
    """Before any of the body is read: its declared length is enough."""

    code = "body_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"the body may have {limit_bytes} bytes at most", hint="AETHER_MAX_BODY_MB sets the limit"
        )


def call_id_of(request: Request | None) -> str:
    """The request's own, if it is a sane token; else a new one."""
    told = request.header(b"x-call-id") if request is not None else None
    if told is not None:
        text = told.decode("latin-1")
        if CALL_ID.fullmatch(text):
            return text
    return new_call_id()


def answer_for(error: AetherError, call_id: str) -> Answer:
    """The contract's JSON form, with `X-Call-Id` and, where there is one, `Retry-After`."""
    headers: tuple[tuple[str, str], ...] = (("X-Call-Id", call_id),)
    if error.retry_after_s is not None:
        headers += (("Retry-After", str(error.retry_after_s)),)
    return Answer(error.status, json.dumps(error.body(call_id)).encode(), headers=headers)


def refusal(status: int, reason: str) -> AetherError:
    """What the relay would not take."""
    error = BadRequest(reason)
    error.status, error.code = status, _REFUSALS.get(status, error.code)
    if status == QueueFull.status:
        error.retry_after_s = QueueFull.retry_after_s
    return error


_PHASES = {Phase.DECIDE: "queue", Phase.CONNECT: "place"}
"""By the contract's words; `fn` otherwise."""


def failure_of(who: str, failure: Failure) -> AetherError:
    """What became of a request that was forwarded to `who`."""
    if failure.kind is FailureKind.DEADLINE:
        phase = _PHASES.get(failure.phase, "fn")
        return DeadlineExceeded(f"{who} did not answer before the deadline (phase: {phase})")
    return _FAILURES.get(failure.kind, _broken)(who, failure.detail)


def _broken(who: str, detail: str) -> AetherError:
    if detail == LOST:
        return InstanceFailed(f"{who} was lost before it answered: {LOST}")
    return InstanceFailed(f"{who} broke the connection before it answered")


_FAILURES: dict[FailureKind, Callable[[str, str], AetherError]] = {
    FailureKind.BODY_TIMEOUT: lambda _who, _why: RequestTimeout("the request's body came too slowly"),
    FailureKind.MALFORMED: lambda who, why: InstanceFailed(f"{who} answered with malformed HTTP: {why}"),
    FailureKind.HANDLER: lambda _who, _why: AetherError("the gateway itself failed; its log says how"),
    FailureKind.UNREACHABLE: lambda who, why: NoCapacity(f"{who} did not take the request: {why}"),
    FailureKind.STOPPING: lambda _who, _why: NoCapacity("the platform stopped before there was an answer"),
}
