"""The worker as a process of its own: its life from taking its id to leaving it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

import structlog

from aether.domain.worker import Worker as WorkerRecord
from aether.ports.job_queue import JobQueue
from aether.ports.registry import Lease, Registry
from aether.worker.capacity import Capacity
from aether.worker.home import Home, NotAlone
from aether.worker.host import Host
from aether.worker.kept import KeptInstances
from aether.worker.own_server import own_server
from aether.worker.side_by_side import one_ended, side_by_side
from aether.worker.worker import Worker

log = structlog.get_logger()


class Ended(StrEnum):
    LEFT = "left"
    """Asked to stop: its instances run on, for its next process."""
    DRAINED = "drained"
    """It has handed over all that it had, as somebody wished."""


async def run(
    home: Home,
    host: Callable[[Lease], Host],
    *,
    registry: Registry,
    jobs: JobQueue,
    capacity: Capacity,
    address: tuple[str, int],
    drain_timeout_s: float,
    stop: asyncio.Event,
    hurry: asyncio.Event,
    on_ready: Callable[[tuple[str, int]], None],
) -> Ended:
    """Serve until `stop` is set, or somebody wishes that this worker drains.

    `address` is where its own `/healthz`, `/readyz` and `/metrics` listen; `on_ready` is called with it when
    instances of an earlier process are adopted. After `stop`, running requests may take `drain_timeout_s`, or
    until `hurry` is set; the registry's lease is not closed then, so that what runs is known until the next
    process takes it over. The driver must leave its machines. Raises NotAlone where a rival has the id,
    StoreUnavailable, OSError.
    """
    lease = await registry.lease(home.worker_id)
    ours = replace(host(lease), kept=KeptInstances(home.instances))
    worker = Worker(ours, registry, jobs, capacity)
    ours.metrics.show(worker.now)
    async with own_server(worker, ours.metrics.registry, address) as listening:
        worker.shown.home, worker.shown.port = home.secret, listening[1]
        await _take_id(worker, lease)
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run(ended), name="worker")
            async with side_by_side(worker.ready.wait(), stop.wait()) as (ready, stopped):
                await one_ended(ready, stopped)
                if ready.done():
                    on_ready(listening)
            async with side_by_side(stop.wait(), worker.gone()) as (stopped, gone):
                await one_ended(stopped, gone)
                if not gone.done():
                    await _leave(worker, drain_timeout_s, hurry)
            ended.set()
    if worker.heard.rival.done():
        raise taken(worker.heard.rival.result())
    if worker.shown.restarting and not worker.heard.wished_away.is_set():
        return Ended.LEFT
    await lease.close()
    return Ended.DRAINED


async def _take_id(worker: Worker, lease: Lease) -> None:
    """Gateways expect it back until it has adopted what it left."""
    worker.shown.restarting = True
    rival = await lease.take_worker(worker.record())
    worker.shown.restarting = False
    if rival is not None:
        await lease.close()
        raise taken(rival)


async def _leave(worker: Worker, within_s: float, hurry: asyncio.Event) -> None:
    worker.leave(within_s)
    async with side_by_side(worker.drained(), hurry.wait()) as (drained, hurried):
        await one_ended(drained, hurried)
        if not drained.done():
            worker.leave(0)
            await worker.drained()


def taken(rival: WorkerRecord) -> NotAlone:
    where = f"{rival.hostname or 'an unknown host'} ({rival.public_ip})"
    return NotAlone(
        f"Another worker has the id {rival.id}: on {where}, last heard of at "
        f"{rival.last_heartbeat:%H:%M:%S} UTC.",
        hint="Stop that one, or give this one an id of its own: AETHER_WORKER_ID, or another "
        "AETHER_DATA_DIR. If it has died, its id is free 10 seconds later.",
    )
