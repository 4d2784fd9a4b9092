"""Who may reach instances through their proxies: whoever gets to a port, or gateways of the cluster."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import structlog

from aether.domain.errors import AetherError, Forbidden, Unauthenticated
from aether.http import Answer, MutualTls, Request, TlsSource
from aether.ports.clock import Clock
from aether.worker.wording import error_answer

log = structlog.get_logger()

KEY_HEADER = b"x-aether-cluster-key"
TELL_EVERY_S = 60.0
"""How often refusals are logged: whoever scans the network must not fill the log."""


class Hop:
    """What a worker's proxies ask of those who connect. With no keys and no TLS they ask nothing.

    Any of `keys` will do, so that gateways and workers can change theirs one after the other.
    """

    def __init__(self, clock: Clock, keys: Sequence[bytes] = (), tls: MutualTls | None = None) -> None:
        self._clock = clock
        self._keys = tuple(keys)
        self.keyed = bool(keys)
        self._tls = tls
        self.refused = {"missing": 0, "wrong": 0}
        """Requests that did not get through, by what was wrong with their key."""
        self._told_at_s: float | None = None

    @property
    def tls(self) -> TlsSource | None:
        """For the proxies' listeners."""
        return None if self._tls is None else self._tls.context

    async def follow(self) -> None:
        """Until cancelled: take new certificates when their files change."""
        if self._tls is not None:
            await self._tls.follow()

    def refusal(self, request: Request) -> Answer | None:
        """What is answered to a request without the right key; None for one with it."""
        told = request.header(KEY_HEADER)
        if told is None:
            return self._refuse(request, "missing", Unauthenticated("this proxy wants the cluster's key"))
        fits = False
        for key in self._keys:  # all of them, so that the time it takes tells nothing
            fits |= hmac.compare_digest(told, key)
        return None if fits else self._refuse(request, "wrong", Forbidden("that is not the cluster's key"))

    def _refuse(self, request: Request, what: str, error: AetherError) -> Answer:
        self.refused[what] += 1
        now_s = self._clock.monotonic()
        if self._told_at_s is None or now_s - self._told_at_s >= TELL_EVERY_S:
            self._told_at_s = now_s
            log.warning(
                "request refused for want of the cluster's key",
                key=what,
                client=request.client[0],
                refused_in_all=sum(self.refused.values()),
            )
        error.component = "worker"
        answer = error_answer(error, request)
        # A gateway takes it elsewhere: not a byte has reached the function.
        answer.headers += (("X-Aether-Refused", "key"),)
        answer.close = True
        return answer
