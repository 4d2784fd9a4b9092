"""Workers and runtimes."""

from __future__ import annotations

from fastapi import APIRouter

from aether.domain.errors import NotFound
from aether.domain.gateway import GatewayRecord
from aether.domain.worker import DrainWish, Worker
from aether.gateway.api.answers import problems
from aether.gateway.api.cluster_views import DrainView, RuntimeView, WorkerView
from aether.gateway.api.dependencies import Deps

router = APIRouter(prefix="/api", tags=["platform"])


@router.get("/workers", responses=problems())
async def list_workers(deps: Deps) -> list[WorkerView]:
    entries = (await deps.registry.view()).entries.values()
    gateways = [entry for entry in entries if isinstance(entry, GatewayRecord)]
    return [WorkerView.of(entry, gateways) for entry in entries if isinstance(entry, Worker)]


@router.post("/workers/{worker_id}/drain", status_code=202, responses=problems(404))
async def drain_worker(worker_id: str, deps: Deps) -> DrainView:
    """Give it nothing new, and let what runs on it end. Answered when it has been asked to."""
    if not await deps.registry.ask_to_drain(DrainWish(worker_id, deps.clock.now())):
        raise NotFound(f"there is no worker {worker_id!r}")
    return DrainView(id=worker_id, draining=True)


@router.get("/runtimes", responses=problems())
async def list_runtimes(deps: Deps) -> list[RuntimeView]:
    return [RuntimeView.of(runtime) for runtime in deps.runtimes.values()]
