"""The way into an instance: what the relay asks on the second hop."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aether.domain.errors import AetherError, BadRequest, DeadlineExceeded, InstanceFailed, RequestTimeout
from aether.domain.function import Limits
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
from aether.ports.vmm import End, EndReason, Machine, Vmm

DEADLINE_HEADER = b"x-aether-deadline-ms"
MAX_DEADLINE_DIGITS = 15
"""Longer ones are no times: the function's own limit holds."""
_DROP = frozenset({DEADLINE_HEADER})
AFTER_GATEWAY_S = 0.25
"""The gateway's own deadline should come first: it can say more about the whole request."""
IDLE_GRACE_S = 5.0
"""Longer than gateways keep an idle connection, so that no request crosses its closing."""
SAY_WHY_WITHIN_S = 0.5
"""How long a broken request waits for the machine to say why it ended."""
CONSOLE_TAIL_CHARS = 2000
LAST_PORT = 65535
AS_THE_GATEWAY_SENDS = RelayLimits(
    max_head_bytes=2 << 20, max_headers=1100, max_target_bytes=65536, body_idle_timeout_s=1000.0
)
"""Wider than any gateway's own, which has judged the request, and added some fields to it."""

_ENDED = {
    EndReason.OUT_OF_MEMORY: "ran out of memory",
    EndReason.EXITED: "exited",
    EndReason.KILLED: "was killed",
    EndReason.STOPPED: "was stopped",
}


class InstanceProxy:
    """One instance's relay and its handler. Implements `aether.http.Handler`."""

    def __init__(
        self,
        vmm: Vmm,
        machine: Machine,
        limits: Callable[[], Limits],
        clock: Clock,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._vmm = vmm
        self._machine = machine
        self._limits = limits
        self._clock = clock
        self._neighbours = neighbours
        self._upstream = Upstream(*machine.address)
        self._refusing = False
        self._answered = False
        self._idle_since_s = clock.monotonic()
        self._relay: Relay | None = None
        self.in_flight = 0
        self.calls = 0

    def idle_s(self, now_s: float) -> float:
        """Seconds since the last request ended; 0 while one runs."""
        return 0.0 if self.in_flight else now_s - self._idle_since_s

    @asynccontextmanager
    async def listening(self, host: str, first_port: int) -> AsyncIterator[int]:
        """Take requests on the first free port from `first_port` up, and tell which it is."""
        relay = self._relay = Relay(self, AS_THE_GATEWAY_SENDS, neighbours=self._neighbours)
        try:
            yield await _bind(relay, host, first_port)
        finally:
            await relay.close()

    def refuse_new(self) -> None:
        """From now on answer 503 with `X-Aether-Refused: draining`, which gateways try elsewhere."""
        self._refusing = True

    async def finish(self, within_s: float) -> None:
        """Wait for running requests, and leave what still runs after `within_s` to be cut."""
        assert self._relay is not None
        await self._relay.drain(within_s, idle_grace_s=min(within_s, IDLE_GRACE_S))

    # What the relay asks

    def begin(self, request: Request) -> Forward | Answer:
        limits = self._limits()
        if self._refusing:
            return _refused("draining")
        if self.in_flight >= limits.max_concurrency:
            return _refused("full")
        self.in_flight += 1
        self.calls += 1
        return Forward(
            self._upstream,
            request.target,
            drop=_DROP,
            deadline_at=asyncio.get_running_loop().time() + _remaining_s(request, limits) + AFTER_GATEWAY_S,
            idle_timeout_s=limits.idle_timeout_s,
            max_stream_s=limits.max_stream_s,
            upstream_may_refuse=False,
            context=self,
        )

    async def undelivered(self, exchange: Exchange, why: Undelivered) -> Answer:
        """Where its machine has ended, another may have a request that was never sent to this one.

        One that was may be what ended it, and is not to end others. And where nothing was ever answered,
        others would hardly fare better: why it ended is worth more than start after start.
        """
        if self._answered and not exchange.forwarded_at and (self._refusing or await self._end() is not None):
            return _refused("draining")
        return self._answer(exchange, await self._failure(f"could not be reached ({why.detail})"))

    async def failed(self, exchange: Exchange, failure: Failure) -> Answer:
        error: AetherError
        match failure.kind:
            case FailureKind.DEADLINE:
                error = DeadlineExceeded(
                    f"the function did not answer in time (phase: {failure.phase.value})", component="worker"
                )
            case FailureKind.BODY_TIMEOUT:
                error = RequestTimeout("the request's body came too slowly", component="worker")
            case FailureKind.MALFORMED:
                error = await self._failure(f"answered with malformed HTTP ({failure.detail})")
            case _:
                error = await self._failure("broke the connection before it answered")
        return self._answer(exchange, error)

    def refused(self, request: Request | None, status: int, reason: str) -> Answer:
        error = BadRequest(reason, component="worker")
        return _json(status, error.body(_call_id(request)))

    def finished(self, exchange: Exchange) -> None:
        if exchange.context is self:
            self.in_flight -= 1
            self._answered = self._answered or exchange.head_at > 0
            self._idle_since_s = self._clock.monotonic()

    # How failures are worded

    async def _failure(self, what: str) -> InstanceFailed:
        """With the reason of the machine's end, if it ended, and the console's tail."""
        end = await self._end()
        if end is not None:
            what = f"{_ENDED[end.reason]}{f': {end.detail}' if end.detail else ''}"
        spec = self._machine.spec
        tail = self._vmm.console(spec.instance_id)[-CONSOLE_TAIL_CHARS:]
        return InstanceFailed(f"instance {spec.instance_id} {what}", hint=tail or None, component="worker")

    async def _end(self) -> End | None:
        """The machine's, if it comes soon: its connections break a moment before it is told."""
        try:
            async with asyncio.timeout(SAY_WHY_WITHIN_S):
                end = await self._machine.ended()
        except TimeoutError:
            return None
        self.refuse_new()  # the caller of a broken request may be back before the registry knows
        return end

    def _answer(self, exchange: Exchange, error: AetherError) -> Answer:
        answer = _json(error.status, error.body(_call_id(exchange.request)))
        answer.context = self
        answer.headers = (("X-Aether-Error", _header_text(f"{error.code}: {error.message}")),)
        return answer


async def _bind(relay: Relay, host: str, first_port: int) -> int:
    for port in range(first_port, LAST_PORT + 1):
        try:
            await relay.listen(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return port
    raise InstanceFailed(f"no free port from {first_port} up", component="worker")


def _remaining_s(request: Request, limits: Limits) -> float:
    told = request.header(DEADLINE_HEADER)
    if told is not None and told.isdigit() and len(told) <= MAX_DEADLINE_DIGITS:
        return min(int(told) / 1000, limits.timeout_s)
    return limits.timeout_s


def _refused(why: str) -> Answer:
    body: dict[str, object] = {
        "error": {"code": "refused", "message": f"the instance is {why}", "component": "worker"}
    }
    answer = _json(503, body)
    answer.headers = (("X-Aether-Refused", why), ("Retry-After", "1"))
    return answer


def _json(status: int, body: dict[str, object]) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _header_text(text: str) -> str:
    """The guest has a say in what this holds: nothing but printable ASCII gets into a header."""
    return "".join(c if " " <= c <= "~" else " " for c in text[:500])


def _call_id(request: Request | None) -> str | None:
    told = request.header(b"x-call-id") if request is not None else None
    return told.decode("latin-1") if told else None
