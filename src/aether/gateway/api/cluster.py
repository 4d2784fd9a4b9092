"""Workers, runtimes, and the whole at a glance."""

from __future__ import annotations

from fastapi import APIRouter

import aether
from aether.domain.errors import NotFound
from aether.domain.function import FunctionConfig
from aether.domain.gateway import GatewayRecord
from aether.domain.instance import Instance
from aether.domain.worker import Worker
from aether.gateway.api.answers import problems
from aether.gateway.api.cluster_views import DrainView, RuntimeView, StatusView, WorkerView
from aether.gateway.api.dependencies import Deps

router = APIRouter(prefix="/api", tags=["platform"])


@router.get("/workers", responses=problems())
async def list_workers(deps: Deps) -> list[WorkerView]:
    entries = (await deps.registry.view()).entries.values()
    gateways = [entry for entry in entries if isinstance(entry, GatewayRecord)]
    return [WorkerView.of(entry, gateways) for entry in entries if isinstance(entry, Worker)]


@router.post("/workers/{worker_id}/drain", status_code=202, responses=problems(404))
async def drain_worker(worker_id: str, deps: Deps) -> DrainView:
    """Give it nothing new, and let what runs on it end. Answered when that has begun."""
    try:
        await deps.drain_worker(worker_id)
    except KeyError as error:
        raise NotFound(f"there is no worker {worker_id!r}") from error
    return DrainView(id=worker_id, draining=True)


@router.get("/status", responses=problems())
async def get_status(deps: Deps) -> StatusView:
    entries = (await deps.registry.view()).entries.values()
    workers = [entry for entry in entries if isinstance(entry, Worker)]

    def count(kind: type) -> int:
        return sum(isinstance(entry, kind) for entry in entries)

    return StatusView(
        version=aether.__version__,
        functions=count(FunctionConfig),
        instances=count(Instance),
        workers=len(workers),
        total_mem=sum(worker.total_mem for worker in workers),
        free_mem=sum(worker.free_mem for worker in workers),
        limits=", ".join(sorted({worker.limits for worker in workers if worker.limits})),
        vmm=deps.vmm,
        accel=deps.accel,
    )


@router.get("/runtimes", responses=problems())
async def list_runtimes(deps: Deps) -> list[RuntimeView]:
    return [RuntimeView.of(runtime) for runtime in deps.runtimes]
