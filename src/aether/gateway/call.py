"""One call of a function, from its head to its record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from aether.domain.deadline import Deadline
from aether.domain.function import FunctionConfig
from aether.domain.invocation import Invocation, InvocationStatus
from aether.gateway.places import Slot
from aether.http import Exchange, Outcome, Request

ERROR_HEADER = b"x-aether-error"
"""By it an instance proxy tells that an answer is the platform's own error, and which."""
MAX_PATH = 1024
"""Characters of a path that are recorded."""
_CUT = {
    Outcome.UPSTREAM_BROKEN: "the instance broke off in the middle of its answer",
    Outcome.CUT_IDLE: "nothing came either way for idle_timeout_s",
    Outcome.CUT_MAX_STREAM: "the stream lasted max_stream_s",
    Outcome.CUT_BODY: "the request's body was malformed or too large",
    Outcome.CLOSED: "the gateway was stopped",
}
"""How a response that had begun was cut."""
_DRAINED = "cut: its instance was to go, and its drain time was over"
_CLOCKS_DIFFER = timedelta(seconds=1)
"""At most, as far as wording goes: this host's clock and that of the instance's worker."""
_SERVER_ERROR = 500
_TIMEOUT = 504
# Looked up once: in Python 3.11 that takes longer than a call.
_COMPLETED, _SUCCESS = Outcome.COMPLETED, InvocationStatus.SUCCESS


class Call:
    """The edge's own state for a request: what `Exchange.context` holds."""

    __slots__ = (
        "avoid",
        "call_id",
        "cold",
        "deadline",
        "drop",
        "error",
        "forwarded",
        "function",
        "path",
        "phases",
        "record_id",
        "request",
        "retried",
        "slot",
        "started_at",
        "target",
    )

    def __init__(
        self,
        request: Request,
        function: FunctionConfig,
        *,
        call_id: str,
        record_id: str,
        target: bytes,
        deadline: Deadline,
        started_at: datetime,
        drop: frozenset[bytes] = frozenset(),
    ) -> None:
        self.request = request
        self.function = function
        self.call_id = call_id
        self.record_id = record_id
        self.target = target
        self.deadline = deadline
        self.started_at = started_at
        self.drop = drop
        """Names of fields that the function must not see."""
        self.slot: Slot | None = None
        self.forwarded = False
        """An instance was chosen for it, whatever came of that."""
        self.retried = False
        """It was sent again after an instance that may have seen it: `avoid`."""
        self.avoid: Slot | None = None
        self.cold = False
        self.phases: Mapping[str, float] = {}
        self.error: str | None = None

    def waited(self, phases: Mapping[str, float]) -> None:
        """Milliseconds by phase of one more wait for a place."""
        self.phases = {**self.phases, **{p: self.phases.get(p, 0.0) + ms for p, ms in phases.items()}}

    def response_headers(self, exchange: Exchange) -> bytes:
        """`X-Call-Id` and `Server-Timing`, made when the response's head has come."""
        told = exchange.taken_off.get(ERROR_HEADER)
        if told is not None:
            self.error = told.decode("latin-1")
        phases = self.phases
        timing = "".join([f"{phase};dur={ms:.1f}, " for phase, ms in phases.items()]) if phases else ""
        fn_ms = (time.perf_counter() - exchange.forwarded_at) * 1000
        return f"X-Call-Id: {self.call_id}\r\nServer-Timing: {timing}fn;dur={fn_ms:.1f}\r\n".encode()

    def invocation(self, exchange: Exchange) -> Invocation:
        """What is recorded once it has ended."""
        outcome = exchange.outcome
        cut = None if outcome is _COMPLETED or outcome is None else self._cut(exchange, outcome)
        phases = self.phases
        if exchange.head_at:
            phases = {**phases, "fn": (exchange.head_at - exchange.forwarded_at) * 1000}
        return Invocation(
            id=self.record_id,
            call_id=self.call_id,
            function_id=self.function.id,
            status=_status(exchange, self.error or cut),
            duration_ms=round((exchange.ended_at - exchange.received_at) * 1000),
            started_at=self.started_at,
            error_message=self.error or cut,
            instance_id=self.slot.instance.instance_id if self.slot else None,
            http_status=exchange.status or None,
            method=self.request.method.decode("latin-1"),
            path=self.target.decode("latin-1")[:MAX_PATH],
            cold=self.cold,
            phases=phases,
            attempts=exchange.attempts,
        )

    def _cut(self, exchange: Exchange, outcome: Outcome) -> str | None:
        until = self.slot.instance.drain_until if self.slot is not None else None
        if outcome is Outcome.UPSTREAM_BROKEN and until is not None:
            ended_at = self.started_at + timedelta(seconds=exchange.ended_at - exchange.received_at)
            if ended_at >= until - _CLOCKS_DIFFER:
                return _DRAINED
        return _CUT.get(outcome)

    def given_up(self, now: datetime) -> Invocation:
        """The client went while the call still waited for an instance."""
        return Invocation(
            id=self.record_id,
            call_id=self.call_id,
            function_id=self.function.id,
            status=InvocationStatus.CANCELLED,
            duration_ms=round((now - self.started_at).total_seconds() * 1000),
            started_at=self.started_at,
            error_message="the client went before an instance was there",
            method=self.request.method.decode("latin-1"),
            path=self.target.decode("latin-1")[:MAX_PATH],
        )


def _status(exchange: Exchange, trouble: str | None) -> InvocationStatus:
    if exchange.outcome is not _COMPLETED:
        if exchange.outcome is Outcome.CLIENT_GONE:
            return InvocationStatus.CANCELLED
        if exchange.status == _TIMEOUT:
            return InvocationStatus.TIMEOUT
    if exchange.status >= _SERVER_ERROR or trouble:
        return InvocationStatus.ERROR
    return _SUCCESS
