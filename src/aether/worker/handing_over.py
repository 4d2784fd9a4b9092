"""Before busy functions lose their instances on a worker that drains, each gets one elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace

import structlog

from aether.domain.errors import QueueFull, StoreUnavailable
from aether.domain.ids import new_id
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.job import ProvisionJob
from aether.domain.worker import Worker
from aether.ports.job_queue import JobQueue
from aether.ports.registry import Entry, Registry

log = structlog.get_logger()

WITHIN_S = 20.0
"""So long an instance waits for the one elsewhere; calls of its function wait for theirs after that."""
LOOK_EVERY_S = 0.3


class HandingOver:
    """`jobs` are those of the busy instances, by function id: one more of each is asked for."""

    def __init__(self, worker_id: str, registry: Registry, queue: JobQueue) -> None:
        self._worker_id = worker_id
        self._registry = registry
        self._queue = queue

    async def run(self, jobs: Mapping[str, ProvisionJob]) -> None:
        """Returns when all have one elsewhere, or it is no use to wait any longer."""
        asked: set[str] = set()
        try:
            async with asyncio.timeout(WITHIN_S):
                while missing := await self._missing(jobs):
                    for job in [jobs[function_id] for function_id in missing - asked]:
                        asked.add(job.function_id)
                        await self._ask(job)
                    await asyncio.sleep(LOOK_EVERY_S)
        except (TimeoutError, StoreUnavailable, QueueFull) as error:
            reason = str(error) or "took too long"
            log.warning("not all busy functions have an instance elsewhere", reason=reason)

    async def _missing(self, jobs: Mapping[str, ProvisionJob]) -> set[str]:
        """Functions that no other worker serves; none where there is no other."""
        entries = (await self._registry.view()).entries.values()
        others = {
            w.id for w in entries if isinstance(w, Worker) and w.id != self._worker_id and not w.draining
        }
        if not others:
            return set()
        return {job.function_id for job in jobs.values() if not _served(job, entries, others)}

    async def _ask(self, job: ProvisionJob) -> None:
        """Anybody who has room; nobody waits for the reply."""
        log.info("asking for an instance elsewhere", function=job.function_id)
        await self._queue.submit(
            replace(job, request_id=new_id("req"), reply_to="", count=1, remaining_ms=int(WITHIN_S * 1000))
        )


def _served(job: ProvisionJob, entries: Collection[Entry], others: Collection[str]) -> bool:
    return any(
        isinstance(entry, Instance)
        and entry.function_id == job.function_id
        and entry.status is InstanceStatus.READY
        and entry.revision in (job.revision, None)
        and entry.worker_id in others
        for entry in entries
    )
