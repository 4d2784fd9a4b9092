"""The whole at a glance: also while the registry is away, as far as this gateway knows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeVar

from fastapi import APIRouter

import aether
from aether.domain.errors import StoreUnavailable
from aether.domain.function import FunctionConfig
from aether.domain.gateway import GatewayRecord
from aether.domain.instance import Instance
from aether.domain.worker import Worker
from aether.gateway.api.answers import problems
from aether.gateway.api.dependencies import ApiDependencies, Deps
from aether.gateway.api.status_views import GatewayView, StatusView, StoreView
from aether.ports.registry import Entry

_T = TypeVar("_T")

_TELLS_WITHIN_S = 1.0
"""The registry: who asks for the status wants to know that it is away, not to wait for it."""

router = APIRouter(prefix="/api", tags=["platform"])


@router.get("/status", responses=problems())
async def get_status(deps: Deps) -> StatusView:
    entries, stale = await _entries(deps)
    gateways = sorted(_of(GatewayRecord, entries), key=lambda gateway: gateway.id)
    workers = _of(Worker, entries)
    return StatusView(
        version=aether.__version__,
        functions=len(_of(FunctionConfig, entries)),
        instances=len(_of(Instance, entries)),
        workers=len(workers),
        total_mem=sum(worker.total_mem for worker in workers),
        free_mem=sum(worker.free_mem for worker in workers),
        limits=_all(worker.limits for worker in workers),
        vmm=deps.vmm or _all(worker.vmm for worker in workers),
        accel=deps.accel or _all(worker.accel for worker in workers),
        draining=sum(worker.draining for worker in workers),
        unreachable=sorted({worker_id for gateway in gateways for worker_id in gateway.unreachable}),
        gateways=[GatewayView.of(gateway) for gateway in gateways],
        controller=next((gateway.id for gateway in gateways if gateway.leads), None),
        stores=[StoreView.of(health) for health in await deps.look_at_stores()],
        stale=stale,
    )


async def _entries(deps: ApiDependencies) -> tuple[list[Entry], bool]:
    """And whether they are only what was last known."""
    try:
        async with asyncio.timeout(_TELLS_WITHIN_S):
            return list((await deps.registry.view()).entries.values()), False
    except (StoreUnavailable, TimeoutError):
        return list(deps.last_known()), True


def _of(kind: type[_T], entries: Iterable[Entry]) -> list[_T]:
    return [entry for entry in entries if isinstance(entry, kind)]


def _all(words: Iterable[str]) -> str:
    return ", ".join(sorted({word for word in words if word}))
