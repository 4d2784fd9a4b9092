"""Who scales: a gateway's candidate, a controller by itself, and what a gateway knows of either.

`aether up` needs none of it: there is one gateway, and its controller is never elected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aether.controller.candidate import Candidate
from aether.controller.controller import Controller
from aether.controller.demand import ClusterDemand
from aether.controller.outlook import Outlook
from aether.domain.gateway import CONTROLLER
from aether.domain.ids import new_id
from aether.gateway.activator import Activator
from aether.gateway.gateway import Gateway
from aether.gateway.routes import RouteTable
from aether.gateway.starter import Starter
from aether.gateway.telling import Telling
from aether.ports.clock import Clock
from aether.ports.election import Election, Term
from aether.ports.job_queue import JobQueue
from aether.ports.registry import Registry


class Scaling:
    """The controller of the term that is on, if this process has it; `candidate.run` is its whole life."""

    def __init__(
        self,
        own_id: str,
        election: Election,
        routes: RouteTable,
        asking: Activator | Starter,
        telling: Telling,
        *,
        registry: Registry,
        clock: Clock,
        max_instances: int = 0,
    ) -> None:
        self._routes = routes
        self._asking = asking
        self._registry = registry
        self._clock = clock
        self._max_instances = max_instances
        self._controller: Controller | None = None
        self.candidate = Candidate(election, own_id, self._begin, on_change=telling.news)
        telling.leads = self.leads
        asking.on_room_wanted(self.room_wanted)

    def leads(self) -> bool:
        return self.candidate.leads

    def room_wanted(self) -> None:
        """Here or at another gateway."""
        if self._controller is not None and self.candidate.leads:
            self._controller.room_wanted()

    def _begin(self, term: Term) -> Controller:
        self._controller = Controller(
            self._routes,
            ClusterDemand(
                self._asking, self._asking.others.told, self._routes, self._clock, lambda: term.holds
            ),
            self._registry,
            self._clock,
            max_instances=self._max_instances,
            term=term,
        )
        return self._controller


def look_out(gateway: Gateway, clock: Clock, scaling: Scaling | None, *, max_instances: int = 0) -> None:
    """Let a gateway's requests wait for room that whoever scales will make; here, or elsewhere."""
    activator = gateway.activator
    told = activator.others.told

    def wanted() -> None:
        gateway.telling.news()
        if scaling is not None:
            scaling.room_wanted()

    outlook = Outlook(
        gateway.routes,
        ClusterDemand(activator, told, gateway.routes, clock),
        clock,
        somebody_scales=lambda: (scaling is not None and scaling.leads()) or told.led(clock.monotonic()),
        wanted=wanted,
        max_instances=max_instances,
    )
    activator.room_can_be_made = outlook.room_can_be_made


def scale_with(
    gateway: Gateway, election: Election, *, registry: Registry, clock: Clock, max_instances: int = 0
) -> Scaling:
    """A gateway that is a candidate as well: `aether gateway --with-controller`. `look_out` comes after."""
    return Scaling(
        gateway.id,
        election,
        gateway.routes,
        gateway.activator,
        gateway.telling,
        registry=registry,
        clock=clock,
        max_instances=max_instances,
    )


class LoneController:
    """A candidate that takes no requests: `aether controller`. `run` is its whole life."""

    def __init__(
        self,
        *,
        registry: Registry,
        jobs: JobQueue,
        election: Election,
        clock: Clock,
        max_instances: int = 0,
    ) -> None:
        self.id = new_id("ctl")
        self.routes = RouteTable()
        self._registry = registry
        self._starter = Starter(self.routes, jobs, clock, own_id=self.id)
        self._telling = Telling(registry, clock, self.id, self._starter.asks, role=CONTROLLER)
        self._starter.on_news(self._telling.news)
        self.scaling = Scaling(
            self.id,
            election,
            self.routes,
            self._starter,
            self._telling,
            registry=registry,
            clock=clock,
            max_instances=max_instances,
        )

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Until `stop` is set; `on_ready` is called when it could scale."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.routes.follow(self._registry), name="route table"),
                group.create_task(self._starter.run(), name="starts"),
                group.create_task(self._telling.run(), name="controller record"),
            ]
            tasks.append(group.create_task(self._lead(on_ready), name="candidate"))
            await stop.wait()
            for task in tasks:
                task.cancel()

    async def _lead(self, on_ready: Callable[[], None]) -> None:
        await self.routes.loaded.wait()
        on_ready()
        await self.scaling.candidate.run()
