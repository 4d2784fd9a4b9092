"""Asking for starts where no requests come: on behalf of a controller by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aether.domain.errors import AetherError
from aether.domain.function import FunctionConfig
from aether.gateway.asks import Asks
from aether.gateway.provisioner import Provisioner
from aether.gateway.routes import RouteTable
from aether.ports.clock import Clock
from aether.ports.job_queue import JobQueue


class Starter:
    """What an activator is to a gateway's controller; `run` has to be running for anything to be asked."""

    def __init__(self, routes: RouteTable, jobs: JobQueue, clock: Clock, *, own_id: str) -> None:
        self._routes = routes
        self._provisioner = Provisioner(
            routes, jobs, clock, gateway_id=own_id, changed=self._changed, fail=_nobody_waits
        )
        routes.on_change = self._changed
        self.others = self._provisioner.others
        self.starting = self._provisioner.starting
        self.start = self._provisioner.start
        self.try_again = self._provisioner.newest.try_again
        self.run = self._provisioner.starts.run

    def waiting(self, function_id: str) -> int:  # noqa: ARG002 (nobody, for whatever function)
        return 0

    def missing_room(self) -> Mapping[str, int]:
        return {}

    def asks(self) -> Asks:
        """What gateways have to know of it: what it has asked for."""
        return self._provisioner.asks({})

    def on_news(self, heard: Callable[[], None]) -> None:
        """Called when `asks` has changed."""
        self._provisioner.news = heard

    def on_room_wanted(self, heard: Callable[[], None]) -> None:
        """Called when a gateway has no room for what waits there."""
        self._provisioner.room_wanted = heard

    def _changed(self, function_id: str) -> None:
        function: FunctionConfig | None = self._routes.find(function_id)
        if function is None:
            self._provisioner.forget(function_id)
        else:
            instances = (slot.instance.instance_id for slot in self._routes.slots(function_id))
            self._provisioner.starts.arrived(function_id, instances)


def _nobody_waits(_function_id: str, _error: AetherError) -> None:
    pass
