"""Room for those who have none: the facts for domain/eviction, out of what the cluster looks like."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace

from aether.controller.cluster import Demand, Routes
from aether.controller.facts import Facts
from aether.domain.eviction import Evictions, Need, Occupant, Space, evict
from aether.domain.function import FunctionConfig
from aether.domain.instance import Instance
from aether.domain.memory import Room as MemoryRoom
from aether.domain.memory import bytes_on, instance_bytes
from aether.domain.worker import InstanceLoad

ANY = sys.maxsize
UNKNOWN = InstanceLoad("", in_flight=1, idle_s=0.0)
"""Of an instance that its worker has not told of yet."""


class Room:
    """`max_instances` is how many the platform may have in all, 0 for any number."""

    def __init__(
        self,
        routes: Routes,
        demand: Demand,
        facts: Facts,
        leaving: Container[Instance],
        max_instances: int,
    ) -> None:
        self._routes = routes
        self._demand = demand
        self._facts = facts
        self._leaving = leaving
        self._max_instances = max_instances

    def may_start(self) -> int | None:
        """How many more instances the platform may have; None for any number."""
        if not self._max_instances:
            return None
        functions = self._routes.functions()
        there = sum(len(self._routes.instances(f.id)) + self._demand.starting(f) for f in functions)
        return max(0, self._max_instances - there)

    def evictions(self, own_needs: Mapping[str, int], now_s: float) -> Evictions:
        """What has to drain so that workers get their memory and functions their instances.

        `own_needs` are the controller's, by function id, beside those that requests wait for.
        """
        needs = {**self._queued(), **own_needs, **self._demand.missing_room()}
        if not needs and not any(worker.short_of for worker in self._routes.workers.values()):
            return Evictions()
        spare: dict[str, int] = {}
        occupants = list(self._occupants(spare, now_s))
        return evict(self._needs(needs), self._spaces(), occupants, spare)

    def can_be_made(self, function: FunctionConfig, *, hoping: bool = False) -> bool:
        """Whether there is room for one, or will be: by what leaves, or by what may.

        Something idle counts from its first moment and however old the facts are: it is worth waiting for.
        `hoping` counts what runs requests too: they may have ended since the facts were told.
        """
        spare: dict[str, int] = {}
        occupants = list(self._occupants(spare, None))
        if hoping:
            occupants = [replace(one, in_flight=0) for one in occupants]
        wanted = self._needs({function.id: 1})
        return function.id in evict(wanted, self._spaces(), occupants, spare, idle_at_least_s=0.0).met

    def _queued(self) -> dict[str, int]:
        """Starts that were asked for while there seemed to be room, and that no worker has room for."""
        queued: dict[str, int] = {}
        workers = self._routes.workers.values()
        for function in self._routes.functions():
            count = self._demand.starting(function)
            if count and not self._routes.has_room(self._routes.serving(function).memory_mb):
                taken = sum(worker.starting.get(function.id, 0) for worker in workers)
                if count > taken:
                    queued[function.id] = count - taken
        return queued

    def _needs(self, counts: Mapping[str, int]) -> Iterator[Need]:
        overhead = max((worker.instance_overhead for worker in self._routes.workers.values()), default=0)
        for function in self._routes.functions():
            count = counts.get(function.id, 0)
            if count:
                yield Need(function.id, instance_bytes(self._wanted_mb(function), overhead), count)

    def _wanted_mb(self, function: FunctionConfig) -> int:
        """Of the version that serves, or of the newest, where that is larger and about to take over."""
        serving = self._routes.serving(function).memory_mb
        return max(serving, function.version.memory_mb) if self._routes.rolls(function) else serving

    def _spaces(self) -> Iterator[Space]:
        most = self.may_start()
        for worker in self._routes.workers.values():
            if not worker.draining:
                room = MemoryRoom.of(worker)
                slots = room.max_instances - room.instances if room.max_instances else ANY
                slots = slots if most is None else min(slots, most)
                yield Space(worker.id, worker.free_mem, slots, worker.short_of)

    def _occupants(self, spare: dict[str, int], now_s: float | None) -> Iterator[Occupant]:
        """All instances of ours; `spare` gets how many each function can lose."""
        for function in self._routes.functions():
            instances = [i for i in self._routes.instances(function.id) if i.revision is not None]
            if not instances:
                continue
            revision = self._routes.serving(function).revision
            takes = sum(i.revision == revision and i not in self._leaving for i in instances)
            spare[function.id] = takes - function.limits.min_instances
            rate_per_s = self._facts.rate_per_s(function.id) / max(1, takes)
            for instance in instances:
                load = self._facts.load(instance) or UNKNOWN
                yield Occupant(
                    instance_id=instance.instance_id,
                    function_id=function.id,
                    worker_id=instance.worker_id,
                    size_bytes=self._size(function, instance),
                    in_flight=load.in_flight,
                    idle_s=load.idle_s,
                    rate_per_s=rate_per_s,
                    outdated=instance.revision != revision,
                    leaving=instance in self._leaving,
                    fresh=now_s is None or self._facts.fresh(instance.worker_id, now_s),
                )

    def _size(self, function: FunctionConfig, instance: Instance) -> int:
        memory_mib = _memory_mb(function, instance)
        worker = self._routes.workers.get(instance.worker_id)
        return bytes_on(worker, memory_mib) if worker is not None else instance_bytes(memory_mib)


def _memory_mb(function: FunctionConfig, instance: Instance) -> int:
    """By its version, if that is known still; else by the newest."""
    if function.good is not None and function.good.revision == instance.revision:
        return function.good.memory_mb
    return function.version.memory_mb
