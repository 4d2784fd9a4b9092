"""More requests than may wait."""

from __future__ import annotations

import asyncio

from tests.faults.load import Verdict
from tests.faults.stage import Platform, Stage

DEADLINE_S = 10.0
RATE = 30.0
MAX_WAITING = 20
RESPOND_S = 0.2
FLOOD = 150.0
SECONDS = 8
MOST_CONNECTIONS = 300
CLIENTS = 400
KEPT = 20
"""Connections that the neighbour's callers have already."""
SLOWER_BY_MS = 250.0
"""What a neighbour may notice of it, on a machine whose cores the flood and its sender use too."""


async def play(stage: Stage) -> None:
    """A function whose queue overflows: 429 with Retry-After; another function is not hurt."""
    async with stage.platform() as platform:
        await platform.deploy(
            "tight",
            behave={"respond_s": RESPOND_S},
            timeout_s=DEADLINE_S,
            max_instances=1,
            max_concurrency=2,
            max_waiting=MAX_WAITING,
            target_concurrency=1,
        )
        await platform.deploy("beside", behave={"respond_s": 0.01}, timeout_s=DEADLINE_S, min_instances=1)
        await platform.until(lambda: _there(platform, "beside"), 20, "an instance of the other")
        stage.ledger.timed = "beside"
        with (
            stage.client(platform, "tight", DEADLINE_S) as flood,
            stage.client(platform, "beside", DEADLINE_S) as beside,
        ):
            await flood.once()
            await beside.open_loop(RATE, 4)
            flood.phase = beside.phase = "during"
            stage.expect("over_limit", at_most=int(FLOOD * SECONDS), function="tight")
            async with beside.running(RATE):
                await flood.open_loop(FLOOD, SECONDS)
            flood.phase = "after"
            await flood.once()
    refused = [j for j in stage.ledger.all if j.verdict is Verdict.PLATFORM_ERROR]
    served = len(stage.ledger.answered()) - len(
        [j for j in stage.ledger.all if j.request.function == "beside"]
    )
    stage.facts["served"] = served
    at_least = SECONDS / RESPOND_S * 2 * 0.7
    stage.check(served >= at_least, f"{served} were served of what one instance can do")
    stage.check(refused, "nothing was refused")
    slowest = max((j.took_ms for j in refused), default=0)
    stage.facts["refused_within_ms"] = round(slowest)
    _check_neighbour(stage)


async def play_gateway(stage: Stage) -> None:
    """More connections than the gateway takes: 503 queue_full with Retry-After, others served on."""
    settings = {"AETHER_MAX_CONNECTIONS": str(MOST_CONNECTIONS)}
    async with stage.platform(settings=settings) as platform:
        await platform.deploy(
            "many", behave={"respond_s": 1.0}, timeout_s=DEADLINE_S, max_concurrency=1000, min_instances=1
        )
        await platform.deploy("beside", behave={"respond_s": 0.01}, timeout_s=DEADLINE_S, min_instances=1)
        await platform.until(lambda: _there(platform, "beside"), 20, "an instance of the other")
        await platform.until(lambda: _there(platform, "many"), 20, "an instance")
        stage.ledger.timed = "beside"
        with (
            stage.client(platform, "many", DEADLINE_S) as many,
            stage.client(platform, "beside", DEADLINE_S) as beside,
        ):
            await beside.burst(KEPT)
            await beside.open_loop(RATE, 4)
            many.phase = beside.phase = "during"
            stage.expect("queue_full", at_most=CLIENTS - MOST_CONNECTIONS + 50, function="many")
            async with beside.running(RATE):
                await asyncio.sleep(1)
                await many.burst(CLIENTS)
                await asyncio.sleep(1)
    stage.check(stage.ledger.sums().platform_errors, "nothing was refused")
    _check_neighbour(stage)


def _check_neighbour(stage: Stage) -> None:
    sums = stage.ledger.sums()
    slower_ms = (sums.p99_during_ms or 0) - (sums.p99_before_ms or 0)
    stage.check(slower_ms <= SLOWER_BY_MS, f"the function beside got slower by {slower_ms:.0f} ms")


async def _there(platform: Platform, name: str) -> bool:
    return bool(await platform.instances(name))
