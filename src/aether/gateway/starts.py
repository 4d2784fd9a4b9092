"""Instances on their way: asked for by jobs, and forgotten when they are there, failed or overdue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from aether.domain.errors import AetherError, StoreUnavailable
from aether.domain.function import FunctionConfig, Version
from aether.domain.ids import new_id
from aether.domain.job import JobReply, ProvisionJob
from aether.ports.clock import Clock
from aether.ports.job_queue import JobQueue

START_BUDGET_S = 60.0
"""A start may outlast the request that caused it: the next one wants the instance too."""
SEEN_AFTER_REPLY_S = 5.0
"""An instance that was replied but does not show up in the registry for so long is not coming."""
LOOK_EVERY_S = 1.0
MAX_PHASES = 10_000


@dataclass(slots=True)
class _Start:
    revision: int
    asked_at_s: float
    expires_at_s: float
    instance_id: str | None = None


class Starts:
    """`ask` never waits; `run` has to be running for anything to be submitted or heard.

    `changed` is called with a function's id when one of its starts has ended in whatever way,
    `started` and `failed` with the reply to a job, `refused` when a job could not be submitted.
    """

    def __init__(
        self,
        jobs: JobQueue,
        clock: Clock,
        *,
        reply_to: str,
        changed: Callable[[str], None],
        started: Callable[[JobReply], None],
        failed: Callable[[JobReply], None],
        refused: Callable[[str, AetherError], None],
    ) -> None:
        self._jobs = jobs
        self._clock = clock
        self._reply_to = reply_to
        self._changed = changed
        self._started = started
        self._failed = failed
        self._refused = refused
        self._starts: dict[str, dict[str, _Start]] = {}
        self._phases: dict[str, tuple[float, Mapping[str, float]]] = {}
        self._outbox: deque[ProvisionJob] = deque()
        self._wake = asyncio.Event()

    def count(self, function_id: str, revision: int | None = None) -> int:
        """Those of one revision, or all: an outdated one serves nobody who waits."""
        starts = self._starts.get(function_id, {}).values()
        return sum(revision is None or start.revision == revision for start in starts)

    def longest_s(self, function_id: str) -> float | None:
        """How long ago the first of those under way was asked for."""
        asked_at_s = [start.asked_at_s for start in self._starts.get(function_id, {}).values()]
        return self._clock.monotonic() - min(asked_at_s) if asked_at_s else None

    def any_told(self, function_id: str) -> bool:
        """Whether a worker says of one that it is ready, though it isn't in the registry yet."""
        return any(start.instance_id for start in self._starts.get(function_id, {}).values())

    def phases_since(self, instance_id: str, since_s: float) -> Mapping[str, float] | None:
        """Milliseconds that its start took, by phase, if it became ready after `since_s`."""
        ready_at_s, phases = self._phases.get(instance_id, (0.0, None))
        return phases if ready_at_s >= since_s else None

    def ask(self, function: FunctionConfig, version: Version) -> None:
        """One instance of that version, from any worker."""
        request_id = new_id("req")
        now_s = self._clock.monotonic()
        start = _Start(version.revision, now_s, now_s + START_BUDGET_S)
        self._starts.setdefault(function.id, {})[request_id] = start
        self._outbox.append(self._job(request_id, function.id, version))
        self._wake.set()

    def arrived(self, function_id: str, instance_ids: Iterable[str]) -> None:
        """These are in the registry: they are not on their way any more."""
        starts = self._starts.get(function_id)
        if not starts:
            return
        present = set(instance_ids)
        for request_id in [r for r, start in starts.items() if start.instance_id in present]:
            del starts[request_id]

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._submit(), name="jobs")
            group.create_task(self._listen(), name="job replies")
            group.create_task(self._expire(), name="overdue starts")

    async def _submit(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                job = self._outbox.popleft()
                try:
                    await self._jobs.submit(job)
                except AetherError as error:
                    self._forget(job.function_id, job.request_id)
                    self._refused(job.function_id, error)

    async def _listen(self) -> None:
        while True:
            try:
                async with aclosing(self._jobs.replies(self._reply_to)) as replies:
                    async for reply in replies:
                        self._hear(reply)
            except StoreUnavailable:
                await asyncio.sleep(LOOK_EVERY_S)

    async def _expire(self) -> None:
        """A start whose worker died is forgotten when its time is up, and asked for again if need be."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now_s = self._clock.monotonic()
            for function_id, starts in list(self._starts.items()):
                for request_id in [r for r, start in starts.items() if start.expires_at_s <= now_s]:
                    self._forget(function_id, request_id)
                    self._changed(function_id)
                if not starts:
                    del self._starts[function_id]

    def _hear(self, reply: JobReply) -> None:
        start = self._starts.get(reply.function_id, {}).get(reply.request_id)
        if start is None:
            return
        if reply.instance_id is None:
            self._forget(reply.function_id, reply.request_id)
            self._failed(reply)
        else:
            start.instance_id = reply.instance_id
            now_s = self._clock.monotonic()
            start.expires_at_s = now_s + SEEN_AFTER_REPLY_S
            # What the worker didn't take itself, the job took to find one.
            place_ms = (now_s - start.asked_at_s) * 1000 - sum(reply.phases.values())
            self._phases[reply.instance_id] = now_s, {"place": max(0.0, place_ms), **reply.phases}
            self._started(reply)
            while len(self._phases) > MAX_PHASES:
                del self._phases[next(iter(self._phases))]
        self._changed(reply.function_id)

    def _forget(self, function_id: str, request_id: str) -> None:
        self._starts.get(function_id, {}).pop(request_id, None)

    def _job(self, request_id: str, function_id: str, version: Version) -> ProvisionJob:
        return ProvisionJob(
            request_id=request_id,
            function_id=function_id,
            runtime=version.runtime,
            entrypoint=version.entrypoint,
            vcpu=version.vcpu,
            memory_mb=version.memory_mb,
            port=version.port,
            env_vars=version.env_vars,
            code_sha256=version.code_sha256,
            remaining_ms=int(START_BUDGET_S * 1000),
            reply_to=self._reply_to,
            revision=version.revision,
        )
