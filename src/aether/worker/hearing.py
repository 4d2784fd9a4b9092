"""What the registry says, as far as it concerns a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from aether.domain.function import FunctionConfig
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import DrainWish
from aether.domain.worker import Worker as WorkerRecord
from aether.ports.registry import Entry, Registry, config_key, worker_key
from aether.worker.code_cache import CodeCache
from aether.worker.crash_loops import CrashLoops
from aether.worker.failed_starts import FailedStarts
from aether.worker.instance import RunningInstance
from aether.worker.known_functions import KnownFunctions
from aether.worker.reached import Reached
from aether.worker.registry_watch import follow

log = structlog.get_logger()

CONFIGS = config_key("")


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

    async def follow(self, registry: Registry) -> None:
        """For ever."""
        await follow(registry, self.viewed, self._on_change, self._wants)

    def viewed(self, entries: Mapping[str, Entry]) -> None:
        for function_id in [f for f in self.functions if config_key(f) not in entries]:
            self._forget(function_id)
        self.present = worker_key(self._id) in entries
        for key, entry in entries.items():
            self._learn(key, entry)
        self._code.keep_functions(self.functions)

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
                self.functions.learn(entry)
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
