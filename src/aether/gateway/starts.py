"""Instances on their way: asked for by jobs, and forgotten when they are there, failed or overdue."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing

from aether.domain.errors import AetherError, StoreUnavailable
from aether.domain.function import FunctionConfig, Version
from aether.domain.instance import Instance
from aether.domain.job import JobReply, ProvisionJob
from aether.domain.worker import Worker
from aether.gateway.placing import Placing
from aether.gateway.sending import Sending
from aether.gateway.start import Start, new_start
from aether.ports.clock import Clock
from aether.ports.job_queue import JobQueue

SEEN_AFTER_REPLY_S = 5.0
"""An instance that was replied but does not show up in the registry for so long is not coming."""
LOOK_EVERY_S = 1.0
MAX_PHASES = 10_000


class Starts:
    """`ask` never waits; `run` has to be running for anything to be submitted or heard.

    A start goes to the worker that `placing` names, and elsewhere at once when that has no room after all,
    drains or is gone. `changed` is called with a function's id when one of its starts has ended in whatever
    way, `started` and `failed` with the reply to a job, `refused` when a job could not be submitted, `news`
    when there is one more or less.
    """

    def __init__(
        self,
        jobs: JobQueue,
        placing: Placing,
        clock: Clock,
        *,
        reply_to: str,
        changed: Callable[[str], None],
        started: Callable[[JobReply], None],
        failed: Callable[[JobReply], None],
        refused: Callable[[ProvisionJob, AetherError], None],
        news: Callable[[], None],
    ) -> None:
        self._jobs = jobs
        self._placing = placing
        self._clock = clock
        self._reply_to = reply_to
        self._changed = changed
        self._started = started
        self._failed = failed
        self._refused = refused
        self._news = news
        self._sending = Sending(jobs, placing, clock, self._could_not_be_sent)
        self._starts: dict[str, Start] = {}
        """By request id."""
        self._of: dict[str, dict[str, Start]] = {}
        """The same by function id."""
        self._phases: dict[str, tuple[float, Mapping[str, float]]] = {}

    def counts(self) -> dict[str, Counter[int]]:
        """By function id and revision."""
        return {
            function_id: Counter(start.revision for start in starts.values())
            for function_id, starts in self._of.items()
        }

    def count(self, function_id: str, revision: int | None = None) -> int:
        """Those of one revision, or all: an outdated one serves nobody who waits."""
        starts = self._of.get(function_id, {}).values()
        return sum(revision is None or start.revision == revision for start in starts)

    def longest_s(self, function_id: str) -> float | None:
        """How long ago the first of those under way was asked for."""
        asked_at_s = [start.asked_at_s for start in self._of.get(function_id, {}).values()]
        return self._clock.monotonic() - min(asked_at_s) if asked_at_s else None

    def any_told(self, function_id: str) -> bool:
        """Whether a worker says of one that it is ready, though it isn't in the registry yet."""
        return any(start.instance_id for start in self._of.get(function_id, {}).values())

    def phases_since(self, instance_id: str, since_s: float) -> Mapping[str, float] | None:
        """Milliseconds that its start took, by phase, if it became ready after `since_s`."""
        ready_at_s, phases = self._phases.get(instance_id, (0.0, None))
        return phases if ready_at_s >= since_s else None

    def ask(self, function: FunctionConfig, version: Version) -> None:
        """One instance of that version."""
        start = new_start(function.id, version, self._reply_to, self._clock.monotonic())
        self._starts[start.id] = self._of.setdefault(function.id, {})[start.id] = start
        self._sending.post(start)
        self._news()

    def saw(self, instance: Instance) -> None:
        """A new instance is in the registry, which tells how long its start took, whoever asked for it."""
        if instance.phases and instance.instance_id not in self._phases:
            self._note_phases(instance.instance_id, instance.phases)

    def arrived(self, function_id: str, instance_ids: Iterable[str]) -> None:
        """These are in the registry: they are not on their way any more."""
        starts = self._of.get(function_id)
        if not starts:
            return
        present = set(instance_ids)
        for start in [start for start in starts.values() if start.instance_id in present]:
            self._remove(start)

    def foreign_arrived(self, function_id: str) -> None:
        """An instance that was told of by no reply: it is taken for the oldest that may be."""
        for start in self._of.get(function_id, {}).values():
            if start.anyones and start.instance_id is None:
                self._remove(start)
                return

    def heard(self, worker: Worker) -> None:
        """A worker's heartbeat: what is placed there and it will not begin any more goes elsewhere."""
        for request_id in self._placing.heard(worker):
            self._go_elsewhere(request_id)

    def gone(self, worker_id: str) -> None:
        """That worker is there no more."""
        for request_id in self._placing.gone(worker_id):
            self._go_elsewhere(request_id)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sending.run(), name="jobs")
            group.create_task(self._listen(), name="job replies")
            group.create_task(self._expire(), name="overdue starts")

    async def _listen(self) -> None:
        while True:
            try:
                async with aclosing(self._jobs.replies(self._reply_to)) as replies:
                    async for reply in replies:
                        self._hear(reply)
            except StoreUnavailable:
                await asyncio.sleep(LOOK_EVERY_S)

    async def _expire(self) -> None:
        """A start that nobody answers is forgotten when its time is up, and asked for again if need be."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now_s = self._clock.monotonic()
            for start in [start for start in self._starts.values() if start.expires_at_s <= now_s]:
                self._remove(start)
                self._placing.ended(start.id)
                self._changed(start.job.function_id)

    def _hear(self, reply: JobReply) -> None:
        start = self._starts.get(reply.request_id)
        if start is None or self._overtaken(start, reply):
            return
        if reply.instance_id is not None:
            self._ready(start, reply, reply.instance_id)
        elif not (reply.capacity and self._sending.found_another(start)):
            self._remove(start)
            self._placing.ended(start.id)
            self._failed(reply)
        self._changed(reply.function_id)

    def _overtaken(self, start: Start, reply: JobReply) -> bool:
        """A failure at a worker that it was taken away from meanwhile tells nothing."""
        now_at = self._placing.where(start.id)
        return reply.instance_id is None and bool(reply.worker_id and now_at and reply.worker_id != now_at)

    def _ready(self, start: Start, reply: JobReply, instance_id: str) -> None:
        now_s = self._clock.monotonic()
        start.instance_id = instance_id
        start.expires_at_s = now_s + SEEN_AFTER_REPLY_S
        self._placing.ready(start.id, instance_id)
        # What the worker didn't take itself, the job took to find one.
        place_ms = (now_s - start.asked_at_s) * 1000 - sum(reply.phases.values())
        self._note_phases(instance_id, {"place": max(0.0, place_ms), **reply.phases})
        self._started(reply)

    def _note_phases(self, instance_id: str, phases: Mapping[str, float]) -> None:
        self._phases[instance_id] = self._clock.monotonic(), phases
        while len(self._phases) > MAX_PHASES:
            del self._phases[next(iter(self._phases))]

    def _go_elsewhere(self, request_id: str) -> None:
        self._placing.ended(request_id)
        start = self._starts.get(request_id)
        if start is not None:
            self._sending.post(start)

    def _could_not_be_sent(self, job: ProvisionJob, error: AetherError) -> None:
        self._placing.ended(job.request_id)
        start = self._starts.get(job.request_id)
        if start is not None:
            self._remove(start)
            self._refused(job, error)

    def _remove(self, start: Start) -> None:
        start.ended = True
        self._starts.pop(start.id, None)
        starts = self._of.get(start.job.function_id, {})
        starts.pop(start.id, None)
        if not starts:
            self._of.pop(start.job.function_id, None)
        self._news()
