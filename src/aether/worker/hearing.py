"""What the registry says, as far as it concerns a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from aether.domain.function import FunctionConfig
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import DrainWish
from aether.domain.worker import Worker as WorkerRecord
from aether.ports.registry import Entry, Registry, View, config_key, worker_key
from aether.worker.code_cache import CodeCache
from aether.worker.crash_loops import CrashLoops
from aether.worker.failed_starts import FailedStarts
from aether.worker.instance import RunningInstance
from aether.worker.known_functions import KnownFunctions
from aether.worker.reached import Reached
from aether.worker.registry_watch import follow

log = structlog.get_logger()

CONFIGS = config_key("")
COMES_BACK_S = 600.0
"""The database may be away as well. A function that was removed in between is forgotten after it."""


class Hearing:
    """Keeps `functions` current, and drains instances that are marked so or whose function is gone.

    `home` tells one's own record from a rival's; `code` goes with its function.
    """

    def __init__(
        self,
        worker_id: str,
        instances: Mapping[str, RunningInstance],
        *,
        home: Callable[[], str],
        crash_loops: CrashLoops,
        failed_starts: FailedStarts,
        code: CodeCache,
    ) -> None:
        self.functions = KnownFunctions()
        self.present = False
        """Whether the registry has this worker's record, as far as it has told."""
        self.wished_away = asyncio.Event()
        """Somebody wished that this worker drains."""
        self.rival: asyncio.Future[WorkerRecord] = asyncio.get_running_loop().create_future()
        """Another worker that has taken its id while it was cut off."""
        self._id = worker_id
        self._instances = instances
        self._home = home
        self._crash_loops = crash_loops
        self._failed_starts = failed_starts
        self._code = code
        self._reached = Reached(worker_id)
        self._history: str | None = None
        self._missed: tuple[float, set[str]] = (0.0, set())
        """When the registry was last seen to have lost everything, and functions that it lacked then."""

    async def follow(self, registry: Registry) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(registry, self.viewed, self._on_change, self._wants))
            group.create_task(self._forget_missed())

    async def _forget_missed(self) -> None:
        while True:
            await asyncio.sleep(COMES_BACK_S / 10)
            for function_id in [f for f in self._missed[1] if not self._may_come_back(f)]:
                self._missed[1].discard(function_id)
                self._forget(function_id)

    def viewed(self, view: View) -> None:
        missing = [f for f in self.functions if config_key(f) not in view.entries]
        if self._history not in (None, view.history):
            log.warning("the registry lost everything, instances stay", functions=len(missing))
            self._missed = (asyncio.get_running_loop().time(), self._missed[1] | set(missing))
        self._history = view.history
        for function_id in missing:
            if not self._may_come_back(function_id):
                self._forget(function_id)
        self.present = worker_key(self._id) in view.entries
        for key, entry in view.entries.items():
            self._learn(key, entry)
        self._code.keep_functions(self.functions)

    def _may_come_back(self, function_id: str) -> bool:
        """It is missing because the registry lost everything: it is put again out of the database."""
        since_s, missed = self._missed
        return function_id in missed and asyncio.get_running_loop().time() - since_s < COMES_BACK_S

    def give_up_outdated(self, instance: RunningInstance) -> None:
        """A start that serves nobody any more gives its turn and its memory to others."""
        removed = self.functions.was_removed(instance.job.function_id)
        if removed or (not instance.ready and self.functions.outdated(instance.job)):
            instance.drain(within_s=0)

    def _on_change(self, key: str, entry: Entry | None) -> None:
        self._learn(key, entry)
        self._reached.changed(key, entry)

    def _wants(self, key: str) -> bool:
        """Most of what changes are others' instances and records: too much to read it all."""
        match key.split("/"):
            case ["", "functions", function_id, "instances", instance_id]:
                return instance_id in self._instances or self._failed_starts.about(function_id)
            case ["", "workers", worker_id] | ["", "aether", "drains", worker_id]:
                return worker_id == self._id
        return True

    def _learn(self, key: str, entry: Entry | None) -> None:
        if isinstance(entry, Instance):
            self._failed_starts.saw(entry)
        match entry:
            case FunctionConfig():
                self._missed[1].discard(entry.id)
                self.functions.learn(entry)
                self._code.keep_versions(entry.id, self.functions.images(entry.id))
                for instance in self._instances.values():
                    self.give_up_outdated(instance)
            case Instance(status=InstanceStatus.DRAINING, restarting=False, instance_id=instance_id):
                if instance_id in self._instances:
                    self._instances[instance_id].drain()
            case DrainWish(worker_id=self._id):
                self.wished_away.set()
            case WorkerRecord(id=self._id):
                self._see(entry)
            case None if key.startswith(CONFIGS):
                self._forget(key.removeprefix(CONFIGS))
            case None if key == worker_key(self._id):
                self.present = False

    def _see(self, record: WorkerRecord) -> None:
        """Of two that have one id one has to go: the one that was cut off, whose record is not there."""
        self.present = record.home == self._home()
        if not self.present and not self.rival.done():
            log.error("another worker has this one's id", host=record.hostname, ip=record.public_ip)
            self.rival.set_result(record)

    def _forget(self, function_id: str) -> None:
        self.functions.forget(function_id)
        self._crash_loops.forget(function_id)
        self._failed_starts.forget(function_id)
        self._code.forget(function_id)
        for instance in self._instances.values():
            if instance.job.function_id == function_id:
                instance.drain(within_s=0)
