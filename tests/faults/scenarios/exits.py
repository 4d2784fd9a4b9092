"""Code that exits at start."""

from __future__ import annotations

import asyncio

from tests.api import archive
from tests.faults.load import Verdict
from tests.faults.stage import Platform, Stage
from tests.faults.stage.code import echo

DEADLINE_S = 10.0
RATE = 30.0
BAD_RATE = 20.0
SECONDS = 6
AT_ONCE_MS = 250.0
"""How soon those get their 502 who come while starts are paused."""
TRY_S = 0.8
"""A start takes longer: of those who wait for one, without pauses, few would be told at once."""
VM_DEADLINE_S = 40.0
VM_SECONDS = 25
VM_BAD_RATE = 2.0
"""So few that one instance is tried for all that wait."""
VM_RATE = 5.0
EXITS = "console.error('no such setting'); process.exit(1);"


async def play(stage: Stage) -> None:
    """A function that exits at start: 502 with the reason, soon at once; mended, it serves; others do too."""
    async with stage.platform() as platform:
        behave = {"boot_s": TRY_S, "exits_before_ready": True}
        await platform.deploy("app", behave=behave, timeout_s=DEADLINE_S)
        await platform.deploy("beside", behave={"respond_s": 0.02}, timeout_s=DEADLINE_S, min_instances=1)
        await platform.until(lambda: _there(platform), 20, "an instance of the other")
        stage.expect(
            "instance_failed", int(BAD_RATE * SECONDS), says="ended before it was ready", function="app"
        )
        stage.ledger.timed = "beside"
        with (
            stage.client(platform, "app", DEADLINE_S) as bad,
            stage.client(platform, "beside", DEADLINE_S) as beside,
        ):
            await beside.open_loop(RATE, 4)
            bad.phase = beside.phase = "during"
            async with beside.running(RATE):
                await bad.open_loop(BAD_RATE, SECONDS)
                bad.phase = "after"
                await platform.update("app", env_vars={})
                await bad.burst(5)
        _check(stage, platform, at_once=0.45)


async def play_microvm(stage: Stage) -> None:
    """A microVM whose function exits at start: 502 with what it printed, soon at once; mended, it serves."""
    async with stage.platform(simulated=False) as platform:
        await platform.deploy("app", archive(EXITS), timeout_s=VM_DEADLINE_S)
        await platform.deploy("beside", echo(), timeout_s=VM_DEADLINE_S, min_instances=1)
        await platform.until(lambda: _there(platform), 60, "an instance of the other")
        stage.expect("instance_failed", int(VM_BAD_RATE * VM_SECONDS), function="app")
        stage.ledger.timed = "beside"
        with (
            stage.client(platform, "app", VM_DEADLINE_S) as bad,
            stage.client(platform, "beside", VM_DEADLINE_S) as beside,
        ):
            beside.phase = "warming up"
            await beside.once()
            beside.phase = "before"
            await beside.open_loop(VM_RATE, 4)
            bad.phase = beside.phase = "during"
            async with beside.running(VM_RATE):
                await bad.open_loop(VM_BAD_RATE, VM_SECONDS)
            errors = [j for j in stage.ledger.all if j.verdict is Verdict.PLATFORM_ERROR]
            told = [j for j in errors if "no such setting" in str(j.document.get("hint"))]
            stage.check(
                len(told) == len(errors), f"{len(errors) - len(told)} of {len(errors)} without the console"
            )
            bad.phase = "after"
            await platform.upload("app", echo())
            await bad.burst(3)
        _check(stage, platform, at_once=0.1)


def _check(stage: Stage, platform: Platform, at_once: float) -> None:
    """`at_once` is the share of failed requests that came while starts paused; a try takes its time."""
    starts = platform.log().count("start failed")
    errors = [j for j in stage.ledger.all if j.verdict is Verdict.PLATFORM_ERROR]
    soon = [j for j in errors if j.took_ms < AT_ONCE_MS]
    stage.facts |= {"starts_failed": starts, "told_at_once": len(soon)}
    stage.check(errors, "no request was told that it fails")
    stage.check(len(soon) >= at_once * len(errors), f"only {len(soon)} of {len(errors)} were told at once")
    stage.check(starts < len(errors) / 2, f"{starts} starts for {len(errors)} requests: no back-off")


async def _there(platform: Platform) -> bool:
    await asyncio.sleep(0)
    return bool(await platform.instances("beside"))
