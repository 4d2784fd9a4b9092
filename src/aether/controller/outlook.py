"""Whether idle instances will leave for a request that has no room, asked where it waits.

Who scales may be elsewhere: it makes the room, told by the gateway's record. The question is the same one
(`controller/hope`), over what this process knows.
"""

from __future__ import annotations

from collections.abc import Callable

from aether.controller.cluster import Demand, Routes
from aether.controller.facts import Facts
from aether.controller.hope import Hope
from aether.controller.room import Room
from aether.domain.function import FunctionConfig
from aether.domain.instance import Instance, InstanceStatus
from aether.ports.clock import Clock

PRUNE_EVERY_S = 1.0


class Outlook:
    """`somebody_scales` says whether anybody would make room; `wanted` is called when some is needed."""

    def __init__(
        self,
        routes: Routes,
        demand: Demand,
        clock: Clock,
        *,
        somebody_scales: Callable[[], bool],
        wanted: Callable[[], None],
        max_instances: int = 0,
    ) -> None:
        self._routes = routes
        self._clock = clock
        self._somebody_scales = somebody_scales
        self._wanted = wanted
        self._pruned_at_s = clock.monotonic()
        draining = _Draining()
        self._hope = Hope(Room(routes, demand, Facts(routes, demand, draining), draining, max_instances))

    def room_can_be_made(self, function: FunctionConfig) -> bool:
        if not self._somebody_scales():
            return False
        now_s = self._clock.monotonic()
        answer = self._hope.for_one_of(function, self._routes.serving(function).revision, now_s)
        if answer.news:
            self._wanted()
            if now_s - self._pruned_at_s >= PRUNE_EVERY_S:
                self._pruned_at_s = now_s
                self._hope.prune(now_s)
        return answer.hope


class _Draining:
    """Instances that are marked as draining in the registry."""

    def __contains__(self, instance: object) -> bool:
        return isinstance(instance, Instance) and instance.status is InstanceStatus.DRAINING
