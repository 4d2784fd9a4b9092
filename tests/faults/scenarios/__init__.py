"""The scenarios, in the order in which they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.scenarios import burst, clients_go, shutdown
from tests.faults.stage import Stage


@dataclass(frozen=True, slots=True)
class Scenario:
    """`within_s` ends it, as a failure."""

    name: str
    play: Callable[[Stage], Awaitable[None]]
    within_s: float

    @property
    def about(self) -> str:
        return (self.play.__doc__ or "").strip().splitlines()[0]


SCENARIOS = (
    Scenario("burst-at-cold", burst.play, 60),
    Scenario("clients-go-away", clients_go.play, 60),
    Scenario("sigterm-under-load", shutdown.play, 60),
)
