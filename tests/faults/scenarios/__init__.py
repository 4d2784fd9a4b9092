"""The scenarios, in the order in which they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.faults.cluster import adoption, gateways, hosts, stores
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


@dataclass(frozen=True, slots=True)
class Scenario:
    """`within_s` ends it, as a failure. Those `aside` take time rather than work: others run beside them.

    `play` takes a `Stage`, or, on a `cluster` of that kind, a `tests.faults.cluster.play.Play`.
    """

    name: str
    play: Callable[[Any], Awaitable[None]]
    within_s: float
    aside: bool = False
    cluster: str = ""

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
    Scenario("kill-worker", hosts.kill, 90, cluster="simulated"),
    Scenario("kill-gateway", gateways.kill, 60, cluster="simulated"),
    Scenario("drain-worker", hosts.drain, 60, cluster="simulated"),
    Scenario("rolling-restart", gateways.rolling_restart, 90, cluster="simulated"),
    Scenario("cut-worker", hosts.cut_off, 90, cluster="simulated"),
    Scenario("stop-worker", hosts.stop, 90, cluster="simulated"),
    Scenario("redis-flushed", stores.flush_redis, 60, cluster="simulated"),
    Scenario("redis-away", stores.paused("redis"), 90, cluster="simulated"),
    Scenario("s3-away", stores.killed("s3"), 90, cluster="simulated"),
    Scenario("postgres-away", stores.paused("postgres"), 90, cluster="simulated"),
    Scenario("etcd-away", stores.paused("etcd"), 90, cluster="simulated"),
    Scenario("etcd-empty", stores.empty_etcd, 60, cluster="simulated"),
    Scenario("restart-worker-microvm", adoption.restart, 150, cluster="microvm"),
    Scenario("kill-worker-microvm", adoption.crash, 150, cluster="microvm"),
)
