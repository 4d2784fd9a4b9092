"""A worker's own small HTTP server: whether it lives, whether it takes work, and its figures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from aether.http import Answer, Exchange, Failure, Limits, Relay, Request, Undelivered
from aether.worker.wording import json_answer

if TYPE_CHECKING:
    from aether.worker.worker import Worker

LIMITS = Limits(max_connections=100)


class OwnHandler:
    """Implements `aether.http.Handler`: everything is answered here."""

    def __init__(self, worker: Worker, metrics: CollectorRegistry) -> None:
        self._worker = worker
        self._metrics = metrics

    def begin(self, request: Request) -> Answer:
        if request.method not in (b"GET", b"HEAD"):
            return _error(405, "method_not_allowed", "only GET is known here")
        match request.target.partition(b"?")[0]:
            case b"/healthz":
                return json_answer(200, {"status": "ok", "worker_id": self._worker.id})
            case b"/readyz":
                why_not = self._worker.not_ready()
                return _error(503, "not_ready", why_not) if why_not else json_answer(200, {"status": "ready"})
            case b"/metrics":
                return Answer(200, generate_latest(self._metrics), CONTENT_TYPE_LATEST)
        return _error(404, "not_found", "here are /healthz, /readyz and /metrics")

    def undelivered(self, _exchange: Exchange, _why: Undelivered) -> Answer:
        raise AssertionError("nothing is forwarded")

    def failed(self, _exchange: Exchange, _failure: Failure) -> Answer:
        raise AssertionError("nothing is forwarded")

    def refused(self, _request: Request | None, status: int, reason: str) -> Answer:
        return _error(status, "bad_request", reason)

    def finished(self, exchange: Exchange) -> None:
        """Nothing is kept of it."""


@asynccontextmanager
async def own_server(
    worker: Worker, metrics: CollectorRegistry, address: tuple[str, int]
) -> AsyncIterator[tuple[str, int]]:
    """Listening while it lasts; where. Raises OSError."""
    relay = Relay(OwnHandler(worker, metrics), LIMITS)
    try:
        listening = await relay.listen(*address)
        assert not isinstance(listening, str)
        yield listening
    finally:
        await relay.close()


def _error(status: int, code: str, message: str) -> Answer:
    return json_answer(status, {"error": {"code": code, "message": message, "component": "worker"}})
