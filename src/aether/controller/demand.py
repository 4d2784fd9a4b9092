"""What the whole cluster asks for: one's own demand, and that of all other gateways by their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from aether.controller.cluster import Demand, Routes
from aether.domain.function import FunctionConfig
from aether.domain.gateways import Gateways
from aether.ports.clock import Clock


class ClusterDemand:
    """Implements `aether.controller.cluster.Demand`; starts are asked for by `own`, as long as `may_act`."""

    def __init__(
        self,
        own: Demand,
        others: Gateways,
        routes: Routes,
        clock: Clock,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        self._own = own
        self._others = others
        self._routes = routes
        self._clock = clock
        self._may_act = may_act

    def waiting(self, function_id: str) -> int:
        return self._own.waiting(function_id) + self._others.waiting(function_id, self._clock.monotonic())

    def starting(self, function: FunctionConfig) -> int:
        """By whoever asked: gateways that are gone, or tell nothing, are known by what workers have taken."""
        revision = self._routes.serving(function).revision
        asked = self._own.starting(function)
        asked += self._others.starting(function.id, revision, self._clock.monotonic())
        if self._routes.rolls(function):
            return asked  # workers don't tell of which version
        return max(asked, sum(w.starting.get(function.id, 0) for w in self._routes.workers.values()))

    def missing_room(self) -> Mapping[str, int]:
        """Where requests for a function wait at several gateways, each tells of the one that it needs."""
        told = Counter(self._own.missing_room())
        told.update(self._others.missing_room(self._clock.monotonic()))
        if not told:
            return told
        functions = [function for function in self._routes.functions() if function.id in told]
        return {function.id: min(told[function.id], max(1, self._needed(function))) for function in functions}

    def _needed(self, function: FunctionConfig) -> int:
        """Instances that those who wait everywhere need beside what is on its way."""
        full = -(-self.waiting(function.id) // function.limits.max_concurrency)
        return full - self.starting(function)

    def start(self, function: FunctionConfig, count: int) -> bool:
        """No more than may start at once, whoever asked for what is on its way."""
        count = min(count, function.limits.max_starts_in_flight - self.starting(function))
        return count > 0 and self._may_act() and self._own.start(function, count)

    def try_again(self, function: FunctionConfig) -> None:
        now_s = self._clock.monotonic()
        if self._may_act() and not self._others.starting(function.id, function.version.revision, now_s):
            self._own.try_again(function)
