"""The platform is asked to stop, and started again, while requests come."""

from __future__ import annotations

import asyncio
import time

from tests.faults.stage import Platform, Stage

DEADLINE_S = 10.0
RATE = 100.0
ROUNDS = 3


async def play(stage: Stage) -> None:
    """SIGTERM under load: what was taken is answered, nothing is taken after; the next start serves."""
    platform = await Platform.started(stage.directory, simulated=True)
    try:
        await platform.deploy(
            "steady", behave={"boot_s": 0.1, "respond_s": 0.2}, timeout_s=DEADLINE_S, min_instances=3
        )
        with stage.client(platform, "steady", DEADLINE_S) as client:
            await client.open_loop(RATE, 4)
            client.phase = "during"
            async with client.running(RATE):
                for _ in range(ROUNDS):
                    platform = await _again(stage, platform)
                    await platform.until(lambda it=platform: it.instances("steady"), 20, "an instance")
                    await asyncio.sleep(2)
    finally:
        stage.problems += await platform.stop()
    stage.ledger.compare(platform.received())


async def _again(stage: Stage, platform: Platform) -> Platform:
    """Stop it, and start the next on the same data and port."""
    since_s = time.monotonic()
    port = platform.port
    stage.problems += await platform.stop()
    stopped_s = time.monotonic()
    new = await Platform.started(stage.directory, simulated=True, port=port)
    stage.ledger.away.append((since_s, time.monotonic()))
    stage.facts.setdefault("stopped_after_s", []).append(round(stopped_s - since_s, 2))
    return new
