"""The scenarios, in the order in which they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.scenarios import (
    breaks,
    burst,
    clients_go,
    clock,
    exits,
    memory,
    overflow,
    shutdown,
    updates,
    zero_and_back,
)
from tests.faults.stage import Stage


@dataclass(frozen=True, slots=True)
class Scenario:
    """`within_s` ends it, as a failure. Those `aside` take time rather than work: others run beside them."""

    name: str
    play: Callable[[Stage], Awaitable[None]]
    within_s: float
    aside: bool = False

    @property
    def about(self) -> str:
        return (self.play.__doc__ or "").strip().splitlines()[0]


SCENARIOS = (
    Scenario("zero-one-zero", zero_and_back.play, 170, aside=True),
    Scenario("update-never-ready-microvm", updates.play_broken_microvm, 160, aside=True),
    Scenario("burst-at-cold", burst.play, 60),
    Scenario("code-updates", updates.play, 80),
    Scenario("update-never-ready", updates.play_broken, 80),
    *(Scenario(name, breaks.broken_by(name), 80) for name in breaks.FAULTS),
    Scenario("exit-at-start", exits.play, 60),
    Scenario("clients-go-away", clients_go.play, 60),
    Scenario("sigterm-under-load", shutdown.play, 60),
    Scenario("queue-overflow", overflow.play, 60),
    Scenario("gateway-overflow", overflow.play_gateway, 60),
    Scenario("memory-short", memory.play, 60),
    Scenario("memory-in-turn", memory.play_room, 60),
    Scenario("clock-jumps", clock.play, 60),
    Scenario("zero-one-zero-microvm", zero_and_back.play_microvm, 120),
    *(Scenario(f"{name}-microvm", breaks.broken_by_microvm(name), 120) for name in breaks.FAULTS),
    Scenario("exit-at-start-microvm", exits.play_microvm, 120),
)
