"""Functions that go to zero all the time, with requests that come just then."""

from __future__ import annotations

import asyncio
import time
from random import Random

from tests.faults.load import Client
from tests.faults.stage import Platform, Stage
from tests.faults.stage.code import echo

DEADLINE_S = 10.0
IDLE_S = 1.0
LOOP_S = 120.0
FUNCTIONS = 12
BEHAVE = {"boot_s": 0.1, "respond_s": 0.02}
PAUSES_S = (0.9, 3.4)
"""From before an idle function is stopped (after 1 to 2 s) until after."""
MOST_AT_ONCE = 4
STARTS_AT_LEAST = 150

VM_DEADLINE_S = 40.0
VM_CYCLES = 3


async def play(stage: Stage) -> None:
    """0 -> 1 -> 0 in a loop for two minutes: requests of a steady stream that come as instances go."""
    async with stage.platform() as platform:
        names = [f"pulse-{number}" for number in range(FUNCTIONS)]
        for name in names:
            await platform.deploy(name, behave=BEHAVE, min_instances=1, **_limits(DEADLINE_S))

        async def warm() -> bool:
            return all([len(await platform.instances(name)) == 1 for name in names])

        await platform.until(warm, 30, "an instance each")
        await _pulses(stage, platform, names, "before", 6.0)
        for name in names:
            await platform.update(name, min_instances=0)
        await _pulses(stage, platform, names, "during", LOOP_S)
        _count(stage, platform)
        stage.check(stage.facts["starts"] >= STARTS_AT_LEAST, f"only {stage.facts['starts']} starts")


async def play_microvm(stage: Stage) -> None:
    """0 -> 1 -> 0 on a microVM, with a request as soon as it goes, and one while it's gone."""
    async with stage.platform(simulated=False) as platform:
        await platform.deploy("pulse", echo(), **_limits(VM_DEADLINE_S))
        with stage.client(platform, "pulse", VM_DEADLINE_S) as client:
            client.phase = "warming up"
            await client.once()
            stage.check(platform.vms(), "no VM is to be seen while an instance serves")
            client.phase = "before"
            await client.open_loop(20, 3)
            client.phase = "during"
            for cycle in range(VM_CYCLES):
                await client.open_loop(20, 1)
                if cycle % 2:
                    await platform.until(lambda: _zero(platform), 20, "no instance")
                else:
                    await platform.until(lambda: _going(platform), 20, "an instance that goes")
                await client.burst(3)
        await platform.until(lambda: _zero(platform), 30, "no instance at the end")
        await platform.until(lambda: _no_vm(platform), 15, "no VM of a function at zero")
        _count(stage, platform)
        stage.check(stage.facts["starts"] > VM_CYCLES, f"only {stage.facts['starts']} starts")


def _limits(timeout_s: float) -> dict[str, float]:
    return {"timeout_s": timeout_s, "instance_idle_timeout_s": IDLE_S, "scale_to_zero_after_s": IDLE_S}


async def _pulses(stage: Stage, platform: Platform, names: list[str], phase: str, seconds: float) -> None:
    until_s = time.monotonic() + seconds

    async def pulse(client: Client, random: Random) -> None:
        while time.monotonic() < until_s:
            await client.burst(random.randint(1, MOST_AT_ONCE))
            await asyncio.sleep(random.uniform(*PAUSES_S))

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(_with_client(stage, platform, name, phase, pulse))


async def _with_client(stage: Stage, platform: Platform, name: str, phase: str, pulse) -> None:
    with stage.client(platform, name, DEADLINE_S) as client:
        client.phase = phase
        await pulse(client, Random(name))


async def _zero(platform: Platform) -> bool:
    return not await platform.instances("pulse")


async def _no_vm(platform: Platform) -> bool:
    return not platform.vms()


async def _going(platform: Platform) -> bool:
    """It drains, or is gone already."""
    return all(i["status"] == "draining" for i in await platform.instances("pulse"))


def _count(stage: Stage, platform: Platform) -> None:
    log = platform.log()
    stage.facts |= {"starts": log.count("instance ready"), "scale_downs": log.count("scaling down")}
