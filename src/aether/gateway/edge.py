"""What the relay asks on the first hop: where a request goes, and what to say when it can't be done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import structlog

from aether.domain.errors import AetherError, BadRequest, InstanceFailed
from aether.domain.ids import new_call_id
from aether.gateway.activator import Activator
from aether.gateway.addressing import addressed
from aether.gateway.admission import Admission
from aether.gateway.call import Call
from aether.gateway.metrics import GatewayMetrics
from aether.gateway.own_fields import KEY_FIELD, OURS_AND_KEY
from aether.gateway.places import Slot
from aether.gateway.platform_errors import answer_for, call_id_of, failure_of, refusal
from aether.gateway.reach import Reach
from aether.gateway.recorder import Recorder
from aether.gateway.retries import Retries
from aether.gateway.routes import RouteTable
from aether.http import (
    Answer,
    Exchange,
    Failure,
    FailureKind,
    Forward,
    Request,
    Undelivered,
    Upstream,
)
from aether.ports.clock import Clock

log = structlog.get_logger()

_BAD_GATEWAY = 502
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
        reach: Reach | None = None,
        cluster_key: str = "",
    ) -> None:
        self._routes = routes
        self._activator = activator
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock
        self._api = api
        self._max_body_bytes = max_body_bytes
        self._key_field = f"{KEY_FIELD}: {cluster_key}\r\n".encode() if cluster_key else b""
        self._retries = Retries(routes, activator, metrics, clock, reach or Reach(routes, clock))
        self._admission = Admission(routes, clock, api_keys=api_keys, max_body_bytes=max_body_bytes)

    # What the relay asks

    def begin(self, request: Request) -> Forward | Answer | Awaitable[Forward | Answer]:
        # Most requests have none of our fields: one look instead of one for each.
        plain = not request.has_any(OURS_AND_KEY)
        now = self._clock.now()
        call_id = new_call_id(now) if plain else call_id_of(request)
        try:
            destination = addressed(request, self._routes.names)
            if destination is None:
                return self._to_api(request, call_id)
            call = self._admission.call(request, call_id, *destination, now, plain=plain)
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
        try:
            self._retries.undelivered(call, why)
        except AetherError as error:
            return self._give_up(call, error)
        return self._place(call)

    def failed(
        self, exchange: Exchange, failure: Failure
    ) -> Forward | Answer | Awaitable[Forward | Answer] | None:
        call = exchange.context
        if not isinstance(call, Call):
            return answer_for(failure_of("the management API", failure), call_id_of(exchange.request))
        if self._retries.unanswered(call, failure):
            return self._place(call)
        gone = self._routes.find(call.function.id) is None
        if failure.kind is FailureKind.UNANSWERED and not gone:
            return None  # nobody can say better what happened than its proxy
        error = self._wording(call, failure, gone=gone)
        call.error = error.message
        return answer_for(error, call.call_id)

    def refused(self, request: Request | None, status: int, reason: str) -> Answer:
        return answer_for(refusal(status, reason), call_id_of(request))

    def finished(self, exchange: Exchange) -> None:
        call = exchange.context
        if not isinstance(call, Call):
            return
        if call.slot is not None:
            if exchange.status == _BAD_GATEWAY:
                self._retries.broke(call.slot)
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

    def _place(self, call: Call) -> Forward | Awaitable[Forward | Answer]:
        """At once where an instance has room and nobody waits; else in the queue."""
        if self._activator.idle(call.function.id):
            slot = self._routes.pick(call.function, call.avoid)
            if slot is not None:
                return self._forward(call, slot)
        return self._wait_for_place(call)

    async def _wait_for_place(self, call: Call) -> Forward | Answer:
        try:
            grant = await self._activator.acquire(
                call.function,
                call.deadline,
                arrived_at=call.request.received_at,
                again=call.forwarded,
                avoid=call.avoid,
            )
        except AetherError as error:
            return self._give_up(call, error)
        except asyncio.CancelledError:
            if not call.forwarded:  # else the relay knows of the call, and `finished` records it
                self._recorder.record(call.given_up(self._clock.now()))
            raise
        call.cold = call.cold or grant.cold
        call.waited(grant.phases)
        return self._forward(call, grant.slot)

    @staticmethod
    def _give_up(call: Call, error: AetherError) -> Answer:
        call.error = error.message
        answer = answer_for(error, call.call_id)
        answer.context = call
        return answer

    def _forward(self, call: Call, slot: Slot) -> Forward:
        call.slot, call.forwarded = slot, True
        limits = call.function.limits
        remaining_s = call.deadline.remaining_s(self._clock.monotonic())
        added = f"X-Call-Id: {call.call_id}\r\nX-Aether-Deadline-Ms: {int(remaining_s * 1000)}\r\n"
        return Forward(
            slot.upstream,
            call.target,
            add_headers=slot.fields + added.encode() + (self._key_field if slot.keyed else b""),
            drop=call.drop,
            deadline_at=asyncio.get_running_loop().time() + remaining_s,
            idle_timeout_s=limits.idle_timeout_s,
            max_stream_s=limits.max_stream_s,
            max_body_bytes=self._max_body_bytes,
            response_headers=call.response_headers,
            drop_response=_CALL_ID_ONLY,
            context=call,
        )

    def _wording(self, call: Call, failure: Failure, *, gone: bool) -> AetherError:
        if gone and failure.kind in {FailureKind.BROKEN, FailureKind.UNANSWERED}:
            return InstanceFailed(f"{call.function.name} was deleted while it ran this request")
        return failure_of(
            f"instance {call.slot.instance.instance_id}" if call.slot else "no instance", failure
        )
