"""What the relay asks on the first hop: where a request goes, and what to say when it can't be done."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable

import structlog

from aether.domain.deadline import Deadline
from aether.domain.errors import (
    AetherError,
    BadRequest,
    FunctionNotFound,
    InstanceFailed,
    NoCode,
)
from aether.domain.function import FunctionConfig
from aether.domain.ids import new_call_id
from aether.domain.instance import InstanceStatus
from aether.gateway.activator import Activator
from aether.gateway.call import Call
from aether.gateway.metrics import GatewayMetrics
from aether.gateway.places import Slot
from aether.gateway.platform_errors import BodyTooLarge, answer_for, call_id_of, failure_of, refusal
from aether.gateway.prefix import check_path, check_reference
from aether.gateway.recorder import Recorder
from aether.gateway.routes import RouteTable
from aether.http import (
    Answer,
    Exchange,
    Failure,
    Forward,
    Request,
    Undelivered,
    Upstream,
)
from aether.ports.clock import Clock

log = structlog.get_logger()

_INVOCATION = re.compile(rb"/functions/([^/?]+)(/[^?]*)?(\?.*)?", re.DOTALL)
_OURS = frozenset({b"x-call-id", b"x-timeout-ms", b"x-aether-deadline-ms", b"x-aether-refused"})
_OURS_AND_KEY = _OURS | {b"authorization"}
MAX_TIMEOUT_DIGITS = 15
"""Numbers of thousands of digits are no times, and take Python's conversions beyond what they can."""
_NOTHING: frozenset[bytes] = frozenset()
_CALL_ID_ONLY = frozenset({b"x-call-id"})


class Edge:
    """Implements `aether.http.Handler`: calls go to instances, all else to the management API."""

    def __init__(
        self,
        routes: RouteTable,
        activator: Activator,
        recorder: Recorder,
        metrics: GatewayMetrics,
        clock: Clock,
        *,
        api: Upstream,
        api_keys: frozenset[bytes],
        max_body_bytes: int | None = None,
    ) -> None:
        self._routes = routes
        self._activator = activator
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock
        self._api = api
        self._max_body_bytes = max_body_bytes
        self._authorizations = frozenset(b"Bearer " + key for key in api_keys)

    # What the relay asks

    def begin(self, request: Request) -> Forward | Answer | Awaitable[Forward | Answer]:
        # Most requests have none of our fields: one look instead of one for each.
        plain = not request.has_any(_OURS_AND_KEY)
        call_id = new_call_id() if plain else call_id_of(request)
        try:
            destination = self._destination(request)
            if destination is None:
                return self._to_api(request, call_id)
            call = self._call(request, call_id, *destination, plain=plain)
        except AetherError as error:
            answer = answer_for(error, call_id)
            answer.close = isinstance(error, BadRequest)
            return answer
        return self._place(call)

    def undelivered(
        self, exchange: Exchange, why: Undelivered
    ) -> Forward | Answer | Awaitable[Forward | Answer]:
        call = exchange.context
        if not isinstance(call, Call):
            return answer_for(
                InstanceFailed("the management API is not running"), call_id_of(exchange.request)
            )
        self._give_up_slot(call, why)
        return self._place(call)

    def failed(self, exchange: Exchange, failure: Failure) -> Answer:
        call = exchange.context
        if not isinstance(call, Call):
            return answer_for(failure_of("the management API", failure), call_id_of(exchange.request))
        error = failure_of(
            f"instance {call.slot.instance.instance_id}" if call.slot else "no instance", failure
        )
        call.error = error.message
        return answer_for(error, call.call_id)

    def refused(self, request: Request | None, status: int, reason: str) -> Answer:
        return answer_for(refusal(status, reason), call_id_of(request))

    def finished(self, exchange: Exchange) -> None:
        call = exchange.context
        if not isinstance(call, Call):
            return
        if call.slot is not None:
            self._activator.release(call.slot)
        invocation = call.invocation(exchange)
        self._recorder.record(invocation)
        self._metrics.observe(invocation)
        if invocation.error_message:
            log.info(
                "call failed",
                call_id=call.call_id,
                function=call.function.name,
                status=exchange.status,
                reason=invocation.error_message,
            )

    # Where requests go

    def _to_api(self, request: Request, call_id: str) -> Forward:
        return Forward(
            self._api,
            request.target,
            add_headers=b"X-Call-Id: " + call_id.encode() + b"\r\n",
            drop=_CALL_ID_ONLY,
            upstream_may_refuse=False,
            upstream_continues=True,
        )

    def _destination(self, request: Request) -> tuple[FunctionConfig, bytes] | None:
        """The function that is meant, by host or by path, and the target as it sees it.

        None for what the management API answers. Raises FunctionNotFound, BadRequest.
        """
        if self._routes.names.has_hosts:
            host = request.host.lower().partition(b":")[0].removesuffix(b".").decode("latin-1")
            function = self._routes.names.find_by_host(host)
            if function is not None:
                return function, request.target
            if self._routes.names.owns_host(host):
                raise _not_found(host)
        match = _INVOCATION.fullmatch(request.target)
        if match is None:
            return None
        reference, path, query = match.groups(default=b"")
        check_path(path)
        function = self._routes.find(reference.decode("latin-1"))
        if function is None:
            check_reference(reference)
            raise _not_found(reference.decode("latin-1")[:80])
        return function, (path or b"/") + query

    def _call(
        self, request: Request, call_id: str, function: FunctionConfig, target: bytes, *, plain: bool
    ) -> Call:
        """Raises NoCode, BadRequest, BodyTooLarge."""
        if self._max_body_bytes is not None and (request.length or 0) > self._max_body_bytes:
            raise BodyTooLarge(self._max_body_bytes)
        if not self._routes.serving(function).code_sha256:
            raise NoCode(
                f"{function.name} has no code yet",
                hint=f"upload some: POST /api/functions/{function.id}/code",
            )
        deadline = Deadline.after(function.limits.timeout_s, self._clock.monotonic())
        return Call(
            request,
            function,
            call_id=call_id,
            # A caller may use its id again, on retries say: each try is a call of its own.
            record_id=call_id if plain or request.header(b"x-call-id") is None else new_call_id(),
            target=target,
            deadline=deadline if plain else self._shortened(deadline, request),
            started_at=self._clock.now(),
            drop=_NOTHING if plain else self._to_drop(request),
        )

    def _shortened(self, deadline: Deadline, request: Request) -> Deadline:
        told = request.header(b"x-timeout-ms")
        if told is None:
            return deadline
        if len(told) > MAX_TIMEOUT_DIGITS or not told.isdigit() or not int(told):
            raise BadRequest(
                "X-Timeout-Ms must be a whole number of milliseconds above zero, "
                f"of {MAX_TIMEOUT_DIGITS} digits at most"
            )
        return deadline.sooner(int(told) / 1000, self._clock.monotonic())

    def _place(self, call: Call) -> Forward | Awaitable[Forward | Answer]:
        """At once where an instance has room and nobody waits; else in the queue."""
        if self._activator.idle(call.function.id):
            slot = self._routes.pick(call.function)
            if slot is not None:
                return self._forward(call, slot)
        return self._wait_for_place(call)

    async def _wait_for_place(self, call: Call) -> Forward | Answer:
        try:
            grant = await self._activator.acquire(call.function, call.deadline)
        except AetherError as error:
            call.error = error.message
            answer = answer_for(error, call.call_id)
            answer.context = call
            return answer
        except asyncio.CancelledError:
            if not call.forwarded:  # else the relay knows of the call, and `finished` records it
                self._recorder.record(call.given_up(self._clock.now()))
            raise
        call.cold = call.cold or grant.cold
        call.phases = {p: call.phases.get(p, 0.0) + ms for p, ms in grant.phases.items()}
        return self._forward(call, grant.slot)

    def _forward(self, call: Call, slot: Slot) -> Forward:
        call.slot, call.forwarded = slot, True
        limits = call.function.limits
        remaining_s = call.deadline.remaining_s(self._clock.monotonic())
        instance = slot.instance
        added = f"X-Call-Id: {call.call_id}\r\nX-Aether-Deadline-Ms: {int(remaining_s * 1000)}\r\n"
        return Forward(
            Upstream(instance.host_ip, instance.proxy_port),
            call.target,
            add_headers=added.encode(),
            drop=call.drop,
            deadline_at=asyncio.get_running_loop().time() + remaining_s,
            idle_timeout_s=limits.idle_timeout_s,
            max_stream_s=limits.max_stream_s,
            max_body_bytes=self._max_body_bytes,
            response_headers=call.response_headers,
            drop_response=_CALL_ID_ONLY,
            context=call,
        )

    def _to_drop(self, request: Request) -> frozenset[bytes]:
        """Our own headers, and the platform's key: a function must not see an operator's."""
        told = request.header(b"authorization")
        return _OURS_AND_KEY if told is not None and told in self._authorizations else _OURS

    def _give_up_slot(self, call: Call, why: Undelivered) -> None:
        slot, call.slot = call.slot, None
        if slot is None:
            return
        if why.detail == "full":
            self._activator.refused_full(slot)
        else:
            self._activator.release(slot)
            self._routes.lose(slot)
            log.info(
                "instance not reached, trying another",
                call_id=call.call_id,
                instance=slot.instance.instance_id,
                reason=why.detail,
                draining=slot.instance.status is InstanceStatus.DRAINING,
            )


def _not_found(what: str) -> FunctionNotFound:
    return FunctionNotFound(f"there is no function {what!r}", hint="`aether list` shows those there are")
