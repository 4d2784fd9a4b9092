"""A wall clock that jumps."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from tests.api import RECORDED_WITHIN_S
from tests.faults.stage import Platform, Stage

DEADLINE_S = 10.0
RATE = 60.0
HOUR_S = 3600
JUMPS_S = (HOUR_S, 0, -HOUR_S, 0)
EACH_S = 4.0


async def play(stage: Stage) -> None:
    """The wall clock jumps an hour ahead, back, an hour behind, and back: nothing ends, nothing starts."""
    async with stage.platform() as platform:
        await platform.deploy(
            "steady", behave={"respond_s": 0.05}, timeout_s=DEADLINE_S, min_instances=2, target_concurrency=16
        )
        await platform.deploy("idle", timeout_s=DEADLINE_S)
        await platform.until(lambda: _two(platform), 20, "two instances")
        with (
            stage.client(platform, "steady", DEADLINE_S) as client,
            stage.client(platform, "idle", DEADLINE_S) as idle,
        ):
            await idle.once()
            await client.open_loop(RATE, 4)
            client.phase = idle.phase = "during"
            before = await _instances(platform)
            async with client.running(RATE):
                for ahead_s in JUMPS_S:
                    await platform.control(clock_ahead_s=ahead_s)
                    await asyncio.sleep(EACH_S)
                    await idle.once()
            after = await _instances(platform)
            told_h = await _hours_told(platform)
        stage.check(after == before, f"instances changed: {before ^ after}")
        stage.check(told_h == 2, f"by the records of calls the clock jumped over {told_h} h, not 2")


async def _instances(platform: Platform) -> set[str]:
    return {i["instance_id"] for name in ("steady", "idle") for i in await platform.instances(name)}


async def _hours_told(platform: Platform) -> int:
    """Between the calls that were made when the clock was furthest ahead and furthest behind."""
    await asyncio.sleep(RECORDED_WITHIN_S)
    calls = await platform.get("/api/functions/idle/invocations")
    times = [datetime.fromisoformat(call["started_at"]) for call in calls]
    return round((max(times) - min(times)) / timedelta(hours=1))


async def _two(platform: Platform) -> bool:
    return len(await platform.instances("steady")) == 2
