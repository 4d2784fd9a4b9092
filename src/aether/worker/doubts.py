"""Reasons to replace an instance that its requests alone give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aether.domain.function import Limits
from aether.http import Exchange, Request
from aether.worker.signs import Signs

GRACE_S = 0.25
"""Who gives a request up so shortly before its time is up does so because it is."""
TOO_LARGE = "response head too large"
"""What the relay can't pass on, but is no garbage."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why an instance is to be replaced, once its requests have ended."""

    reason: str
    fault: bool
    """Whether that is surely the function's, and counts for a crash loop."""


class Doubts:
    """Of one instance. `asked`: its function answers probes, so that silence needs no guessing."""

    def __init__(self, signs: Signs, limits: Callable[[], Limits], *, asked: bool) -> None:
        self._signs = signs
        self._limits = limits
        self._asked = asked
        self._answering: set[Exchange] = set()
        self._upgrades = 0
        self.first: asyncio.Future[Doubt] = asyncio.get_running_loop().create_future()

    def began(self, request: Request) -> None:
        if request.upgrade:
            self._upgrades += 1

    def answering(self, exchange: Exchange) -> None:
        """Its head has come: from here on its function may be sending, which nobody tells us of."""
        self._answering.add(exchange)

    def ended(self, exchange: Exchange, now_s: float, *, since_gateway_s: float) -> None:
        """After the signs know. `since_gateway_s`: how much sooner than ours the gateway's deadline is."""
        self._answering.discard(exchange)
        if exchange.request.upgrade:
            self._upgrades -= 1
        forward = exchange.forward
        if exchange.head_at or not exchange.forwarded_at or forward is None or forward.deadline_at is None:
            return
        if asyncio.get_running_loop().time() >= forward.deadline_at - since_gateway_s - GRACE_S:
            self._ran_out(now_s)

    def malformed(self, detail: str, what: str) -> None:
        if detail != TOO_LARGE:
            self._doubt(Doubt(what, fault=True))

    def _ran_out(self, now_s: float) -> None:
        """A request's time is up. For a function that can't be asked this is all there is to go by."""
        limits = self._limits()
        if self._asked or limits.health_path or self._answering or self._upgrades:
            return
        silent_s = self._signs.owing_s(now_s)
        if silent_s >= limits.unresponsive_after_s:
            reason = f"answered nothing for {silent_s:.0f} s, until the time of a request was up"
            self._doubt(Doubt(reason, fault=False))

    def _doubt(self, doubt: Doubt) -> None:
        if not self.first.done():
            self.first.set_result(doubt)
