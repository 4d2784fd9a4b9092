"""What the controller knows of functions and their instances, and remembers from look to look."""

from __future__ import annotations

from collections.abc import Container

from aether.controller.cluster import Demand, Routes
from aether.controller.freshness import Freshness
from aether.domain.activity import Activity, noted
from aether.domain.function import FunctionConfig
from aether.domain.instance import Instance
from aether.domain.scaling import FunctionFacts, InstanceFacts
from aether.domain.worker import InstanceLoad


class Facts:
    """Times are on a clock that never goes back; `leaving` are instances that drain or were told to."""

    def __init__(self, routes: Routes, demand: Demand, leaving: Container[Instance]) -> None:
        self._routes = routes
        self._demand = demand
        self._leaving = leaving
        self._freshness = Freshness()
        self._activities: dict[str, Activity] = {}

    def note(self, now_s: float) -> None:
        """To be called at each look, before anything is asked."""
        self._freshness.note(self._routes.workers, now_s)

    def forget_all_but(self, function_ids: set[str]) -> set[str]:
        """Tells which were forgotten."""
        gone = self._activities.keys() - function_ids
        for function_id in gone:
            del self._activities[function_id]
        return gone

    def fresh(self, worker_id: str, now_s: float) -> bool:
        return self._freshness.fresh(worker_id, now_s)

    def load(self, instance: Instance) -> InstanceLoad | None:
        """None of one that its worker has not told of yet, or whose worker is gone."""
        worker = self._routes.workers.get(instance.worker_id)
        return worker.instances.get(instance.instance_id) if worker is not None else None

    def activity(self, function: FunctionConfig, now_s: float) -> Activity:
        """With this look at it; one call a look."""
        instances = self._routes.instances(function.id)
        loads = {i.instance_id: load for i in instances if (load := self.load(i)) is not None}
        waiting = self._demand.waiting(function.id) > 0
        before = self._activities.get(function.id)
        activity = self._activities[function.id] = noted(before, now_s, loads, waiting=waiting)
        return activity

    def rate_per_s(self, function_id: str) -> float:
        """Calls of a function, as of the last look at it."""
        activity = self._activities.get(function_id)
        return activity.rate_per_s if activity is not None else 0.0

    def of(self, function: FunctionConfig, now_s: float) -> FunctionFacts:
        """Of those of ours that don't leave; a foreign worker scales its own."""
        revision = self._routes.serving(function).revision
        ours = [
            self._instance_facts(instance, instance.revision == revision, now_s)
            for instance in self._routes.instances(function.id)
            if instance.revision is not None and instance not in self._leaving
        ]
        return FunctionFacts(
            instances=tuple(ours),
            starting=self._demand.starting(function),
            waiting=self._demand.waiting(function.id),
        )

    def _instance_facts(self, instance: Instance, current: bool, now_s: float) -> InstanceFacts:
        load = self.load(instance)
        if load is None:
            return InstanceFacts(instance.instance_id, 0, 0.0, current, fresh=False)
        fresh = self.fresh(instance.worker_id, now_s)
        return InstanceFacts(instance.instance_id, load.in_flight, load.idle_s, current, fresh)
