"""Scaling, as a loop over facts: gather, decide (domain/scaling), act."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

import structlog

from aether.domain.errors import StoreUnavailable
from aether.domain.function import FunctionConfig, Version
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.scaling import FunctionFacts, InstanceFacts, decide
from aether.domain.worker import InstanceLoad, Worker
from aether.ports.clock import Clock
from aether.ports.registry import Registry

log = structlog.get_logger()

EVERY_S = 1.0
"""Source: the wire contract, "Scaling": looked at every second."""
FACTS_TOO_OLD_S = 5.0
RETRY_BROKEN_S = 60.0
"""How often a newest version that never got ready is tried again, aside."""


class Routes(Protocol):
    """What the cluster looks like; a gateway's route table is one."""

    @property
    def workers(self) -> dict[str, Worker]: ...
    def functions(self) -> Iterable[FunctionConfig]: ...
    def instances(self, function_id: str) -> list[Instance]: ...
    def serving(self, function: FunctionConfig) -> Version: ...
    def is_broken(self, function: FunctionConfig) -> bool: ...


class Demand(Protocol):
    """Requests that wait, and how starts are asked for; a gateway's activator is one."""

    def waiting(self, function_id: str) -> int: ...
    def starting(self, function: FunctionConfig) -> int: ...
    def start(self, function: FunctionConfig, count: int) -> bool: ...
    def try_again(self, function: FunctionConfig) -> None: ...


class Controller:
    """Scales every function; `run` is its whole life."""

    def __init__(self, routes: Routes, demand: Demand, registry: Registry, clock: Clock) -> None:
        self._routes = routes
        self._demand = demand
        self._registry = registry
        self._clock = clock
        self._retry_at_s: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled. A store that is away costs the decisions that need it, nothing else."""
        while True:
            for function in list(self._routes.functions()):
                try:
                    await self._look_at(function)
                except StoreUnavailable as error:
                    log.warning("not scaled", function=function.name, reason=error.message)
            await asyncio.sleep(EVERY_S)

    async def _look_at(self, function: FunctionConfig) -> None:
        self._retry_broken(function)
        if not self._routes.serving(function).code_sha256:
            return
        decision = decide(function.limits, self._facts(function))
        if decision.start and self._demand.start(function, decision.start):
            log.info("scaling up", function=function.name, by=decision.start)
        for instance_id in decision.drain:
            log.info("scaling down", function=function.name, instance=instance_id)
            await self._registry.set_status(function.id, instance_id, InstanceStatus.DRAINING)

    def _retry_broken(self, function: FunctionConfig) -> None:
        if not self._routes.is_broken(function):
            self._retry_at_s.pop(function.id, None)
            return
        now_s = self._clock.monotonic()
        due_s = self._retry_at_s.setdefault(function.id, now_s + RETRY_BROKEN_S)
        if now_s >= due_s and self._routes.instances(function.id):
            self._retry_at_s[function.id] = now_s + RETRY_BROKEN_S
            self._demand.try_again(function)

    def _facts(self, function: FunctionConfig) -> FunctionFacts:
        revision = self._routes.serving(function).revision
        ours = [
            self._instance_facts(instance, instance.revision == revision)
            for instance in self._routes.instances(function.id)
            if instance.status is InstanceStatus.READY and instance.revision is not None
        ]
        return FunctionFacts(
            instances=tuple(ours),
            starting=self._demand.starting(function),
            waiting=self._demand.waiting(function.id),
        )

    def _instance_facts(self, instance: Instance, current: bool) -> InstanceFacts:
        worker = self._routes.workers.get(instance.worker_id)
        load: InstanceLoad | None = worker.instances.get(instance.instance_id) if worker else None
        if worker is None or load is None:
            return InstanceFacts(instance.instance_id, 0, 0.0, current, fresh=False)
        age_s = (self._clock.now() - worker.last_heartbeat).total_seconds()
        return InstanceFacts(
            instance.instance_id, load.in_flight, load.idle_s, current, fresh=age_s < FACTS_TOO_OLD_S
        )
