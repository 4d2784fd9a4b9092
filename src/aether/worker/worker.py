"""The worker's role: take jobs while there is room, and keep the registry true."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress

import structlog

from aether.domain.errors import StoreUnavailable
from aether.domain.function import FunctionConfig
from aether.domain.ids import new_id
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.job import JobReply
from aether.domain.worker import Worker as WorkerRecord
from aether.ports.job_queue import Claim, JobQueue
from aether.ports.registry import Entry, Registry, config_key
from aether.worker.answering import Answering
from aether.worker.capacity import SMALLEST_INSTANCE_MIB, Capacity
from aether.worker.crash_loops import CrashLoops
from aether.worker.failed_starts import FailedStarts
from aether.worker.heartbeat import worker_record
from aether.worker.host import Host
from aether.worker.instance import RunningInstance
from aether.worker.known_functions import KnownFunctions
from aether.worker.registry_watch import follow

log = structlog.get_logger()

HEARTBEAT_S = 1.0
CONFIGS = config_key("")


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
        self._functions = KnownFunctions()
        self._crash_loops = CrashLoops(host.clock, self._publish)
        self._draining = False
        self._news = asyncio.Event()
        self._failed_starts = FailedStarts(host.clock, self._news.set)
        self._changed = asyncio.Event()
        self._telling = asyncio.Lock()
        self._starts = asyncio.Semaphore(starts_at_once or 2 * (os.cpu_count() or 1))

    @property
    def id(self) -> str:
        return self._host.worker_id

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set: then instances drain, cut by what `drain` was told, and it returns."""
        async with asyncio.TaskGroup() as instances, asyncio.TaskGroup() as roles:
            tasks = [
                roles.create_task(self._heartbeat(), name="worker heartbeat"),
                roles.create_task(
                    follow(self._registry, self._on_view, self._on_change), name="worker registry watch"
                ),
                roles.create_task(self._take_jobs(instances), name="worker jobs"),
            ]
            if self._host.hop is not None:
                tasks.append(roles.create_task(self._host.hop.follow(), name="worker certificate"))
            await stop.wait()
            self.drain(within_s=0)
            await self.drained()
            for task in tasks:
                task.cancel()

    def drain(self, within_s: float | None = None) -> None:
        """Take no more jobs and drain every instance, each cut after `within_s`."""
        self._draining = True
        for instance in self._instances.values():
            instance.drain(within_s)
        self._changed.set()
        self._news.set()

    async def drained(self) -> None:
        """Wait until no instance is left."""
        while self._instances:
            self._changed.clear()
            await self._changed.wait()

    async def _take_jobs(self, instances: asyncio.TaskGroup) -> None:
        while not self._draining:
            await self._capacity.room_for(SMALLEST_INSTANCE_MIB)
            claim = await self._jobs.take(self.id)
            if self._draining:
                await claim.give_back()
                return
            why_not = self._capacity.why_not(self.id, claim.job.memory_mb, claim.job.count)
            if why_not is not None:
                await Answering(claim).no_room(why_not)
                continue
            for _ in range(claim.job.count):
                instance_id = new_id("inst")
                # Here, not when its task begins: the next job may be looked at before that.
                self._capacity.take(instance_id, claim.job.memory_mb)
                instances.create_task(self._live(claim, instance_id), name=f"instance {instance_id}")

    async def _live(self, claim: Claim, instance_id: str) -> None:
        job = claim.job
        instance = RunningInstance(
            self._host, job, instance_id, lambda: self._functions.limits(job.function_id), self._crash_loops
        )
        self._instances[instance_id] = instance
        self._give_up_outdated(instance)
        answering = Answering(claim)
        began_s = self._host.clock.monotonic()

        async def told(outcome: JobReply) -> None:
            self._failed_starts.note(outcome, began_s)
            await answering.reply(outcome)

        try:
            self._news.set()
            await instance.run(told, self._starts)
        except Exception as error:
            log.exception("instance failed", instance=instance_id, function=job.function_id)
            await answering.broke(error)
        finally:
            del self._instances[instance_id]
            self._capacity.give_back(instance_id)
            self._prune_code()
            self._changed.set()
            self._news.set()

    async def _heartbeat(self) -> None:
        """Every second, and at once when this worker begins to drain, or has less room, or more."""
        while True:
            self._news.clear()
            await self._publish()
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._news.wait()

    async def _publish(self) -> None:
        """Tell the registry how things are now. One at a time, so that none overtakes a newer one."""
        async with self._telling:
            try:
                await self._host.lease.put_worker(self._as_it_is())
            except StoreUnavailable as error:
                log.warning("registry away, heartbeat not sent", reason=error.message)

    def _as_it_is(self) -> WorkerRecord:
        return worker_record(
            self._host,
            self._capacity,
            list(self._instances.values()),
            draining=self._draining,
            failures=self._crash_loops.told(),
            failed_starts=self._failed_starts.told(),
        )

    def _on_view(self, entries: Mapping[str, Entry]) -> None:
        for function_id in [f for f in self._functions if config_key(f) not in entries]:
            self._forget(function_id)
        for key, entry in entries.items():
            self._learn(key, entry)
        self._prune_code()

    def _on_change(self, key: str, entry: Entry | None) -> None:
        """Learn of functions, and drain what is marked as draining or whose function is gone."""
        self._learn(key, entry)
        if key.startswith(CONFIGS):
            self._prune_code()

    def _learn(self, key: str, entry: Entry | None) -> None:
        if isinstance(entry, Instance):
            self._failed_starts.saw(entry)
        match entry:
            case FunctionConfig():
                self._functions.learn(entry)
                for instance in self._instances.values():
                    self._give_up_outdated(instance)
            case Instance(status=InstanceStatus.DRAINING, instance_id=instance_id):
                if instance_id in self._instances:
                    self._instances[instance_id].drain()
            case None if key.startswith(CONFIGS):
                self._forget(key.removeprefix(CONFIGS))

    def _give_up_outdated(self, instance: RunningInstance) -> None:
        """A start that serves nobody any more gives its turn and its memory to others."""
        removed = self._functions.was_removed(instance.job.function_id)
        if removed or (not instance.ready and self._functions.outdated(instance.job)):
            instance.drain(within_s=0)

    def _forget(self, function_id: str) -> None:
        self._functions.forget(function_id)
        self._crash_loops.forget(function_id)
        self._failed_starts.forget(function_id)
        for instance in self._instances.values():
            if instance.job.function_id == function_id:
                instance.drain(within_s=0)

    def _prune_code(self) -> None:
        """Keep what a start may still ask for, and what running instances have."""
        self._host.code.keep_only(
            self._functions.images() | {i.job.code_sha256 for i in self._instances.values()}
        )
