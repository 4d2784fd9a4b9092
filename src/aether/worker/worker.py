"""The worker's role: take jobs while there is room, and keep the registry true."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from aether.domain.job import JobReply, ProvisionJob
from aether.domain.worker import Worker as WorkerRecord
from aether.ports.job_queue import JobQueue
from aether.ports.registry import Registry
from aether.worker.adopting import Adopted, Adopting
from aether.worker.answering import Part
from aether.worker.capacity import Capacity
from aether.worker.crash_loops import CrashLoops
from aether.worker.failed_starts import FailedStarts
from aether.worker.foreign_code import ForeignCode
from aether.worker.handing_over import HandingOver
from aether.worker.hearing import Hearing
from aether.worker.heartbeat import Shown, worker_record
from aether.worker.host import Host
from aether.worker.instance import RunningInstance
from aether.worker.intake import Intake
from aether.worker.metrics import Now
from aether.worker.requests import Requests
from aether.worker.side_by_side import one_ended, side_by_side
from aether.worker.telling import Telling

log = structlog.get_logger()

T = TypeVar("T")


class Worker:
    """`run` is its whole life."""

    def __init__(
        self,
        host: Host,
        registry: Registry,
        jobs: JobQueue,
        capacity: Capacity,
        *,
        starts_at_once: int | None = None,
    ) -> None:
        self._host = host
        self._registry = registry
        self._jobs = jobs
        self._capacity = capacity
        self._instances: dict[str, RunningInstance] = {}
        self._telling = Telling(host.lease, self.record)
        self._failed_starts = FailedStarts(host.clock, self._telling.news.set)
        self._crash_loops = CrashLoops(host.clock, self._telling.publish)
        self._intake = Intake(host.worker_id, jobs, capacity, host.runtimes, self._begin)
        self._requests = Requests(host.lease, host.clock)
        self._changed = asyncio.Event()
        self._starts = asyncio.Semaphore(starts_at_once or 2 * (os.cpu_count() or 1))
        self._group = asyncio.TaskGroup()
        self.shown = Shown()
        """What its record says of it as a process."""
        self.heard = Hearing(
            host.worker_id,
            self._instances,
            home=lambda: self.shown.home,
            crash_loops=self._crash_loops,
            failed_starts=self._failed_starts,
            code=host.code,
        )
        self.ready = asyncio.Event()
        """What could be adopted is known to gateways again, and jobs are taken."""

    @property
    def id(self) -> str:
        return self._host.worker_id

    async def run(self, stop: asyncio.Event) -> None:
        """Adopt what an earlier process left, then serve until `stop` is set.

        Then instances drain, cut by what `drain` was told, or are left as `leave` was told, and it returns.
        """
        async with self._group, asyncio.TaskGroup() as roles:
            tasks = [roles.create_task(self._telling.run(), name="worker heartbeat")]
            if self._host.kept.keeps:
                await self._adopt()
            self.ready.set()
            self._telling.news.set()
            tasks += [
                roles.create_task(self.heard.follow(self._registry), name="worker registry watch"),
                roles.create_task(self._when_wished_away(), name="worker drain"),
                roles.create_task(self._intake.run(), name="worker jobs"),
                roles.create_task(self._requests.run(), name="worker requests"),
            ]
            if self._host.notifications is not None:
                foreign = ForeignCode(
                    self._host.code, self._host.notifications, self.heard.functions, self._replace
                )
                tasks.append(roles.create_task(foreign.run(), name="worker foreign code"))
            if self._host.hop is not None:
                tasks.append(roles.create_task(self._host.hop.follow(), name="worker certificate"))
            await stop.wait()
            if not self.shown.restarting:
                self.drain(within_s=0)
            await self.drained()
            for task in tasks:
                task.cancel()

    def drain(self, within_s: float | None = None) -> None:
        """Take no more jobs and drain every instance, each cut after `within_s`."""
        self._close()
        for instance in self._instances.values():
            instance.drain(within_s)

    def leave(self, within_s: float) -> None:
        """Take no more jobs, let requests end, and leave machines to this worker's next process."""
        self.shown.restarting = True
        self._close()
        for instance in self._instances.values():
            instance.leave(within_s)

    async def drained(self) -> None:
        """Wait until no instance is left."""
        while self._instances:
            self._changed.clear()
            await self._changed.wait()

    async def gone(self) -> None:
        """Wait until it has handed over all that it had, as somebody wished, or because of a rival."""
        async with side_by_side(self.heard.wished_away.wait(), _value(self.heard.rival)) as either:
            await one_ended(*either)
        await self.drained()

    def not_ready(self) -> str:
        """Why it takes no work; empty if it does."""
        if not self._host.runtimes:
            return "there is no runtime"
        if self._intake.closed.is_set():
            return "it drains"
        if not self.ready.is_set():
            return "it is about to adopt what an earlier process left"
        return "" if self.heard.present else "the registry does not have it"

    def record(self) -> WorkerRecord:
        """How things are now. While it says that it restarts, what it has not adopted is expected back."""
        adopts = self._host.kept.keeps and not self.ready.is_set()
        return worker_record(
            self._host,
            self._capacity,
            list(self._instances.values()),
            draining=self._intake.closed.is_set(),
            failures=self._crash_loops.told(),
            failed_starts=self._failed_starts.told(),
            shown=replace(self.shown, restarting=True) if adopts else self.shown,
        )

    def now(self) -> Now:
        """For the metrics."""
        room = self._capacity.look()
        ready = sum(instance.ready for instance in self._instances.values())
        return Now(
            {"ready": ready, "starting": len(self._instances) - ready},
            {
                "running_requests": (
                    "Requests at its instances",
                    sum(instance.load().in_flight for instance in self._instances.values()),
                ),
                "memory_bytes": ("Memory of the host", room.total),
                "free_memory_bytes": ("Of that, what instances can still be given", room.free),
                "registered": ("Whether the registry has it", float(self.heard.present)),
            },
        )

    async def _when_wished_away(self) -> None:
        async with side_by_side(self.heard.wished_away.wait(), _value(self.heard.rival)) as either:
            await one_ended(*either)
        log.info("draining")
        self._close()
        busy = {i.job.function_id: i.job for i in self._instances.values() if i.busy}
        for instance in self._instances.values():
            if instance.job.function_id not in busy:
                instance.drain()
        if busy:
            await HandingOver(self.id, self._registry, self._jobs).run(busy)
        self.drain()

    def _close(self) -> None:
        self._intake.closed.set()
        self._changed.set()
        self._telling.news.set()

    # Instances

    async def _adopt(self) -> None:
        """Returns when gateways know again of all that could be adopted."""
        view = await self._registry.view()
        self.heard.viewed(view)
        shown: list[asyncio.Event] = []
        take = partial(self._take_over, shown)
        await Adopting(self._host, self.heard.functions, view.entries, take).all()
        for registered in shown:
            await registered.wait()

    def _take_over(self, shown: list[asyncio.Event], one: Adopted) -> None:
        """`shown` gets what is set when gateways know of it again."""
        if self.shown.restarting:
            return  # asked to stop meanwhile: it is the next process's
        registered = asyncio.Event()
        instance = self._instance(one.kept.job, one.kept.instance_id, adopted=True)
        self._capacity.take(instance.id, one.kept.job.memory_mb)
        self._host.code.adopt(instance.job, instance.id, one.machine.spec.code)
        life = instance.run_adopted(one.machine, one.kept, registered.set)
        task = self._group.create_task(self._live(instance, life), name=f"instance {instance.id}")
        task.add_done_callback(partial(_set, registered))
        if one.drains:
            instance.drain()
        else:
            shown.append(registered)

    def _begin(self, part: Part, job: ProvisionJob, instance_id: str) -> None:
        instance = self._instance(job, instance_id)
        self.heard.give_up_outdated(instance)
        began_s = self._host.clock.monotonic()

        def note(outcome: JobReply) -> None:
            self._failed_starts.note(outcome, began_s)
            self._host.metrics.started(outcome)

        part.on_outcome = note
        life = instance.run(part, self._starts)
        self._group.create_task(self._live(instance, life, part), name=f"instance {instance_id}")

    def _instance(self, job: ProvisionJob, instance_id: str, *, adopted: bool = False) -> RunningInstance:
        instance = RunningInstance(
            self._host,
            job,
            instance_id,
            lambda: self.heard.functions.limits(job.function_id),
            self._crash_loops,
            adopted=adopted,
        )
        self._instances[instance_id] = instance
        return instance

    async def _live(self, instance: RunningInstance, life: Awaitable[None], part: Part | None = None) -> None:
        """What becomes of its job is told by then."""
        try:
            self._telling.news.set()
            await life
        except Exception as error:
            log.exception("instance failed", instance=instance.id, function=instance.job.function_id)
            if part is not None:
                await part.broke(error)
        finally:
            del self._instances[instance.id]
            self._capacity.give_back(instance.id)
            if instance.first_for and not instance.left:
                self._requests.over(instance.first_for)
            if not instance.left:
                self._host.code.release(instance.id)
            self._changed.set()
            self._telling.news.set()

    def _replace(self, instance_id: str) -> None:
        """One whose code or settings another gateway has changed; where ours has, the rollout does it."""
        instance = self._instances.get(instance_id)
        if instance is not None and instance.ready and not self.heard.functions.superseded(instance.job):
            instance.drain()


async def _value(future: asyncio.Future[T]) -> T:
    return await asyncio.shield(future)


def _set(event: asyncio.Event, _task: asyncio.Task[None]) -> None:
    event.set()
