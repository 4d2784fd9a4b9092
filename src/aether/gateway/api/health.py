"""For those who watch the gateway itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from aether.domain.errors import AetherError
from aether.gateway.api.answers import problems
from aether.gateway.api.cluster_views import HealthView
from aether.gateway.api.dependencies import Deps

router = APIRouter(tags=["health"])


class NotReady(AetherError):
    code, status, retry_after_s = "not_ready", 503, 1


@router.get("/healthz", responses=problems())
async def healthz() -> HealthView:
    """It is alive."""
    return HealthView(status="ok")


@router.get("/readyz", responses=problems())
async def readyz(deps: Deps) -> HealthView:
    """It takes traffic."""
    reason = deps.not_ready()
    if reason:
        raise NotReady(reason)
    return HealthView(status="ready")


@router.get(
    "/metrics",
    response_class=Response,
    responses=problems() | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(deps: Deps, own: Annotated[bool, Query(include_in_schema=False)] = False) -> Response:
    """In Prometheus' text format; open on loopback, with a key elsewhere."""
    if deps.metrics_of_all is not None:
        if own:
            return Response(deps.metrics_of_all.own(), media_type="application/json")
        return Response(await deps.metrics_of_all.text(), media_type=CONTENT_TYPE_LATEST)
    return Response(generate_latest(deps.metrics), media_type=CONTENT_TYPE_LATEST)
