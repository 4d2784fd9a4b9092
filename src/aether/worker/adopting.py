"""Machines that an earlier process of this worker left: which are taken over, and the end of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from aether.domain.instance import Instance, InstanceStatus
from aether.ports.registry import Entry, instance_key
from aether.ports.vmm import Machine, OnLog, ignore_log
from aether.worker.host import Host
from aether.worker.kept import Kept
from aether.worker.known_functions import KnownFunctions
from aether.worker.output import to_logs

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Adopted:
    machine: Machine
    kept: Kept
    drains: bool
    """Somebody wished it to go while there was no worker to hear of it."""


class Adopting:
    """`functions` knows what the registry says of them, `entries` is all that it said.

    `take` gets each that is adopted at once: one that gives no sign of life holds no other up.
    """

    def __init__(
        self,
        host: Host,
        functions: KnownFunctions,
        entries: Mapping[str, Entry],
        take: Callable[[Adopted], None],
    ) -> None:
        self._host = host
        self._functions = functions
        self._entries = entries
        self._take = take

    async def all(self) -> None:
        """What can't be adopted has ended when this returns, and nothing of it is left."""
        kept = self._host.kept.all()
        there = await self._host.vmm.list()
        for instance_id in kept.keys() - set(there):
            await self._remove(kept[instance_id], "its machine has ended")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(name, kept.get(name)), name="adoption") for name in there]
        await self._forget_others({name for name, task in zip(there, tasks, strict=True) if task.result()})

    async def _one(self, instance_id: str, kept: Kept | None) -> bool:
        """Whether it is adopted."""
        why_not = "nothing was kept of it" if kept is None else self._why_not(kept)
        on_log: OnLog = ignore_log
        if kept is not None and not why_not:
            on_log = to_logs(self._host.logs, kept.job.function_id, instance_id)
        try:
            machine = await self._host.vmm.adopt(instance_id, on_log)
        except KeyError:
            if kept is not None:
                await self._remove(kept, "its machine gives no sign of life")
            return False
        if kept is None or why_not:
            await self._host.vmm.stop(machine)
            self._host.metrics.adopted(ended=True)
            if kept is not None:
                await self._remove(kept, why_not)
            else:
                log.warning("instance ended: not adopted", instance=instance_id, reason=why_not)
            return False
        self._host.metrics.adopted(ended=False)
        log.info("instance adopted", instance=instance_id, function=kept.job.function_id)
        self._take(Adopted(machine, kept, self._drains(kept)))
        return True

    def _why_not(self, kept: Kept) -> str:
        job = kept.job
        if not job.revision:  # a foreign gateway's: nobody says what is current
            return ""
        if job.function_id not in self._functions:
            return "its function is there no more"
        return "its function has another version now" if self._functions.outdated(job) else ""

    def _drains(self, kept: Kept) -> bool:
        entry = self._entries.get(instance_key(kept.job.function_id, kept.instance_id))
        return (
            isinstance(entry, Instance) and entry.status is InstanceStatus.DRAINING and not entry.restarting
        )

    async def _remove(self, kept: Kept, why: str) -> None:
        log.warning(
            "instance not adopted", instance=kept.instance_id, function=kept.job.function_id, reason=why
        )
        self._host.kept.forget(kept.instance_id)
        await self._host.lease.remove_instance(kept.job.function_id, kept.instance_id)

    async def _forget_others(self, adopted: set[str]) -> None:
        """What the earlier process still has in the registry, and is not there any more."""
        for entry in self._entries.values():
            if (
                isinstance(entry, Instance)
                and entry.worker_id == self._host.worker_id
                and entry.instance_id not in adopted
            ):
                await self._host.lease.remove_instance(entry.function_id, entry.instance_id)
