"""A host whose memory gets short."""

from __future__ import annotations

import asyncio

from tests.faults.stage import Platform, Stage

DEADLINE_S = 10.0
RATE = 40.0
IDLE = 4
"""Functions with an instance that has nothing to do."""
MIB = 1 << 20
MEMORY_MB = 128
RESERVE = 512 * MIB
"""Left to the host."""
TURNS = 8
FIT = 2
"""Instances beside that of the function that is called all the time."""
PLENTY = [64 << 30, 64 << 30]
SHORT_S = 8.0
LONG_MS = 6000
LONG = 4


async def play(stage: Stage) -> None:
    """The host runs short of memory: idle instances go; running requests, short and long, end well."""
    async with stage.platform() as platform:
        await platform.control(memory=PLENTY)
        await platform.deploy(
            "busy", behave={"respond_s": 0.05}, timeout_s=DEADLINE_S, min_instances=2, target_concurrency=16
        )
        for number in range(IDLE):
            await platform.deploy(f"idle-{number}", behave={"boot_s": 0.1}, timeout_s=DEADLINE_S)
        await platform.until(lambda: _two(platform), 20, "two instances")
        slow = (("x-simulated-respond-ms", str(LONG_MS)),)
        stage.ledger.timed = "busy"
        with (
            stage.client(platform, "busy", DEADLINE_S) as client,
            stage.client(platform, "busy", DEADLINE_S, headers=slow) as long,
        ):
            await _wake(stage, platform, "before")
            await client.open_loop(RATE, 4)
            client.phase, long.phase = "during", "long"
            async with client.running(RATE), asyncio.TaskGroup() as group:
                group.create_task(long.burst(LONG))
                await asyncio.sleep(1)
                idle_before = await _idle(platform)
                await platform.control(memory=[64 << 30, 0])
                await asyncio.sleep(SHORT_S)
                idle_during = await _idle(platform)
                await platform.control(memory=PLENTY)
                await asyncio.sleep(1.5)
            await _wake(stage, platform, "after")
        busy = len(await platform.instances("busy"))
        stage.facts["idle_instances"] = [idle_before, idle_during]
        stage.check(idle_before == IDLE, f"{idle_before} idle instances before")
        stage.check(idle_during == 0, f"{idle_during} of {IDLE} idle instances stayed while memory was short")
        stage.check(busy >= 2, f"{busy} instances of the busy function were left")


async def play_room(stage: Stage) -> None:
    """Functions that don't all fit: idle instances make room for those that are called, in turn."""
    async with stage.platform() as platform:
        room = RESERVE + (FIT + 1) * MEMORY_MB * MIB
        await platform.control(memory=[room, 64 << 30])
        for number in range(IDLE):
            await platform.deploy(
                f"turn-{number}", behave={"boot_s": 0.1}, timeout_s=DEADLINE_S, memory_mb=MEMORY_MB
            )
        await platform.deploy("beside", behave={"respond_s": 0.02}, timeout_s=DEADLINE_S, min_instances=1)
        await platform.until(lambda: _there(platform, "beside"), 20, "an instance")
        stage.ledger.timed = "beside"
        with stage.client(platform, "beside", DEADLINE_S) as beside:
            await beside.open_loop(RATE, 4)
            beside.phase = "during"
            most = 0
            async with beside.running(RATE):
                for turn in range(TURNS):
                    with stage.client(platform, f"turn-{turn % IDLE}", DEADLINE_S) as client:
                        client.phase = "during"
                        await client.once()
                    most = max(most, await _turns(platform))
        stage.check(most <= FIT, f"{most} instances, of which {FIT} fit")
        took = sorted(round(j.took_ms) for j in stage.ledger.answered() if j.request.function != "beside")
        stage.facts["turns_ms"] = [took[0], took[-1]] if took else []


async def _wake(stage: Stage, platform: Platform, phase: str) -> None:
    for number in range(IDLE):
        with stage.client(platform, f"idle-{number}", DEADLINE_S) as client:
            client.phase = phase
            await client.once()


async def _idle(platform: Platform) -> int:
    return sum([len(await platform.instances(f"idle-{number}")) for number in range(IDLE)])


async def _turns(platform: Platform) -> int:
    return sum([len(await platform.instances(f"turn-{number}")) for number in range(IDLE)])


async def _two(platform: Platform) -> bool:
    return len(await platform.instances("busy")) == 2


async def _there(platform: Platform, name: str) -> bool:
    return bool(await platform.instances(name))
