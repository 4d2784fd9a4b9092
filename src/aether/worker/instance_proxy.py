"""The way into an instance: what the relay asks on the second hop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aether.domain.errors import AetherError, BadRequest, DeadlineExceeded, InstanceFailed, RequestTimeout
from aether.domain.function import Limits
from aether.domain.last_words import last_words
from aether.http import (
    Answer,
    Exchange,
    Failure,
    FailureKind,
    Forward,
    Neighbours,
    Relay,
    Request,
    Undelivered,
    Upstream,
)
from aether.http import Limits as RelayLimits
from aether.ports.clock import Clock
from aether.ports.vmm import End, Machine, Vmm
from aether.worker.doubts import Doubts
from aether.worker.ends import elsewhere, end_soon, in_words
from aether.worker.hop import KEY_HEADER, Hop
from aether.worker.probe import PROBE_HEADER
from aether.worker.proxy_ports import bind
from aether.worker.signs import Signs
from aether.worker.wording import call_id, error_answer, json_answer, refusal

DEADLINE_HEADER = b"x-aether-deadline-ms"
TIMEOUT_HEADER = b"x-timeout-ms"
"""By which the function is told what is left of the request's time."""
MAX_DEADLINE_DIGITS = 15
"""Longer ones are no times: the function's own limit holds."""
INSTANCE_HEADER = "X-Aether-Instance"
"""Whom a request is for, by its gateway: this port may have been another's when that looked."""
_DROP = frozenset(
    {DEADLINE_HEADER, TIMEOUT_HEADER, PROBE_HEADER, KEY_HEADER, INSTANCE_HEADER.lower().encode()}
)
AFTER_GATEWAY_S = 0.25
"""The gateway's own deadline should come first: it can say more about the whole request."""
IDLE_GRACE_S = 5.0
"""Longer than gateways keep an idle connection, so that no request crosses its closing."""
AS_THE_GATEWAY_SENDS = RelayLimits(
    max_head_bytes=2 << 20,
    max_headers=1100,
    max_target_bytes=65536,
    body_idle_timeout_s=1000.0,
    client_silence_s=4.0,
)
"""Wider than any gateway's own, which has judged the request, and added some fields to it.

A gateway that has gone without a word waits for no answer: the function is to know of it.
"""


class InstanceProxy:
    """One instance's relay and its handler. Implements `aether.http.Handler`."""

    def __init__(
        self,
        vmm: Vmm,
        machine: Machine,
        limits: Callable[[], Limits],
        clock: Clock,
        *,
        neighbours: Neighbours | None = None,
        hop: Hop | None = None,
        on_refused: Callable[[str], None] = lambda _why: None,
    ) -> None:
        """`on_refused` hears of each request that the function saw nothing of: draining, full or key."""
        self._hop = hop or Hop(clock)
        self._on_refused = on_refused
        instance_id = machine.spec.instance_id
        self._instance = instance_id.encode()
        self._addressed = f"\r\n{INSTANCE_HEADER}: {instance_id}\r\n".encode()
        """As our own gateways say it, never last."""
        self._vmm = vmm
        self._machine = machine
        self._limits = limits
        self._clock = clock
        self._neighbours = neighbours
        self._upstream = Upstream(*machine.address)
        self._refusing = False
        self._relay: Relay | None = None
        self._verdict = ""
        self.signs = Signs(clock.monotonic())
        self.doubts = Doubts(self.signs, limits, asked=machine.spec.runtime.answers_probes)

    @asynccontextmanager
    async def listening(self, host: str, first_port: int) -> AsyncIterator[int]:
        """Take requests on the first free port from `first_port` up, and tell which it is."""
        relay = self._relay = Relay(self, AS_THE_GATEWAY_SENDS, neighbours=self._neighbours)
        try:
            yield await bind(relay, host, first_port, self._hop.tls)
        finally:
            await relay.close()

    def refuse_new(self) -> None:
        """From now on answer 503 with `X-Aether-Refused: draining`, which gateways try elsewhere."""
        self._refusing = True

    def condemn(self, why: str) -> None:
        """The machine is about to be ended: requests that break get this as the reason."""
        self._verdict = why
        self.refuse_new()

    async def finish(self, within_s: float) -> None:
        """Wait for running requests, and leave what still runs after `within_s` to be cut."""
        assert self._relay is not None
        await self._relay.drain(within_s, idle_grace_s=min(within_s, IDLE_GRACE_S))

    # What the relay asks

    def begin(self, request: Request) -> Forward | Answer:
        if self._hop.keyed:
            refused = self._hop.refusal(request)
            if refused is not None:
                self._on_refused("key")
                return refused
        limits = self._limits()
        if self._refusing or (self._addressed not in request.headers and self._is_for_another(request)):
            return self._refuse("draining")
        if self.signs.in_flight >= limits.max_concurrency:
            return self._refuse("full")
        self.signs.began(self._clock.monotonic())
        self.doubts.began(request)
        remaining_s = _remaining_s(request, limits)
        return Forward(
            self._upstream,
            request.target,
            add_headers=b"X-Timeout-Ms: %d\r\n" % (remaining_s * 1000),
            drop=_DROP,
            deadline_at=asyncio.get_running_loop().time() + remaining_s + AFTER_GATEWAY_S,
            idle_timeout_s=limits.idle_timeout_s,
            max_stream_s=limits.max_stream_s,
            response_headers=self._heard,
            upstream_may_refuse=False,
            context=self,
        )

    async def undelivered(self, exchange: Exchange, why: Undelivered) -> Answer:
        """Where its machine has ended, another may have a request that was never sent to this one.

        One that was may be what ended it, and is not to end others. And where nothing was ever answered,
        others would hardly fare better: why it ended is worth more than start after start.
        """
        unsent = self.signs.answers and not exchange.forwarded_at
        if unsent and (self._refusing or await self._end() is not None):
            return self._refuse("draining")
        error, _ = await self._failure(f"could not be reached ({why.detail})")
        return self._answer(exchange, error)

    async def failed(self, exchange: Exchange, failure: Failure) -> Answer:
        error: AetherError
        unanswered = ""
        match failure.kind:
            case FailureKind.DEADLINE:
                error = DeadlineExceeded(
                    "the function did not answer in time (phase: fn)", component="worker"
                )
            case FailureKind.BODY_TIMEOUT:
                error = RequestTimeout("the request's body came too slowly", component="worker")
            case FailureKind.MALFORMED:
                what = f"answered with malformed HTTP ({failure.detail})"
                self.doubts.malformed(failure.detail, what)
                error, _ = await self._failure(what)
            case _:
                error, unanswered = await self._failure("broke the connection before it answered")
        return self._answer(exchange, error, unanswered)

    def refused(self, request: Request | None, status: int, reason: str) -> Answer:
        error = BadRequest(reason, component="worker")
        return json_answer(status, error.body(call_id(request)))

    def finished(self, exchange: Exchange) -> None:
        if exchange.context is not self:
            return
        now_s = self._clock.monotonic()
        self.signs.ended(now_s, answered=exchange.head_at > 0)
        self.doubts.ended(exchange, now_s, since_gateway_s=AFTER_GATEWAY_S)

    def _heard(self, exchange: Exchange) -> bytes:
        """A response's head has come."""
        self.signs.heard(self._clock.monotonic())
        self.doubts.answering(exchange)
        return b""

    def _refuse(self, why: str) -> Answer:
        self._on_refused(why)
        return refusal(why)

    def _is_for_another(self, request: Request) -> bool:
        """Foreign gateways don't say for whom it is."""
        told = request.header(INSTANCE_HEADER.encode())
        return told is not None and told != self._instance

    # How failures are worded

    async def _failure(self, what: str) -> tuple[InstanceFailed, str]:
        """With the reason of the machine's end, if it ended, and what the function said last.

        And what gateways are told of it where a request may fare better elsewhere.
        """
        end = await self._end()
        if end is not None:
            what = in_words(end)
        instance_id = self._machine.spec.instance_id
        hint = last_words(self._vmm.console(instance_id))
        message = f"instance {instance_id} {self._verdict or what}"
        error = InstanceFailed(message, hint=hint or None, component="worker")
        return error, elsewhere(end, hung=bool(self._verdict))

    async def _end(self) -> End | None:
        """The machine's, if it comes soon: its connections break a moment before it is told."""
        end = await end_soon(self._vmm, self._machine)
        if end is not None:
            self.refuse_new()  # the caller of a broken request may be back before the registry knows
        return end

    def _answer(self, exchange: Exchange, error: AetherError, unanswered: str = "") -> Answer:
        answer = error_answer(error, exchange.request, unanswered)
        answer.context = self
        return answer


def _remaining_s(request: Request, limits: Limits) -> float:
    told = request.header(DEADLINE_HEADER)
    if told is not None and told.isdigit() and len(told) <= MAX_DEADLINE_DIGITS:
        return min(int(told) / 1000, limits.timeout_s)
    return limits.timeout_s
