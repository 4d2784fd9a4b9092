"""New code all the time, and code that never gets ready."""

from __future__ import annotations

import asyncio

from tests.api import archive
from tests.faults.load import Ledger
from tests.faults.stage import Platform, Stage
from tests.faults.stage.code import echo

DEADLINE_S = 10.0
EVERY_S = 5.0
UPDATES = 4
RATE = 60.0
LONG_RATE = 2.0
LONG_MS = 3000
LIMITS = {"timeout_s": DEADLINE_S, "min_instances": 2, "target_concurrency": 8}

NEVER_READY_S = 3.0
"""Beside the time that the update itself waits for it."""
VM_DEADLINE_S = 40.0
VM_RATE = 15.0
FAILED_WITHIN_S = 90.0
NEVER_LISTENS = "setInterval(() => console.log('not listening'), 1000);"


async def play(stage: Stage) -> None:
    """New code every 5 s under load: old, then new, and never back; long requests on the old end."""
    async with stage.platform() as platform:
        await platform.deploy("app", behave={"boot_s": 0.3, "respond_s": 0.05}, **LIMITS)
        await platform.until(lambda: _count(platform, "app", 2), 20, "two instances")
        versions = [await platform.upload("app", archive("// 0"))]
        slow = (("x-simulated-respond-ms", str(LONG_MS)),)
        stage.ledger.timed = "app"
        with (
            stage.client(platform, "app", DEADLINE_S) as client,
            stage.client(platform, "app", DEADLINE_S, headers=slow) as long,
        ):
            long.phase = "long"
            await client.open_loop(RATE, 4)
            client.phase = "during"
            async with client.running(RATE), long.running(LONG_RATE):
                for number in range(1, UPDATES + 1):
                    versions.append(await platform.upload("app", archive(f"// {number}")))
                    await asyncio.sleep(EVERY_S)
        seen = check_order(stage, stage.ledger, versions)
        stage.facts["versions"] = seen
        stage.check(seen == len(versions), f"{seen} of {len(versions)} versions answered")


async def play_broken(stage: Stage) -> None:
    """Updates to code that exits at start, and to code that never listens: the old serves on."""
    async with stage.platform() as platform:
        behave = {"boot_s": 0.1, "respond_s": 0.05}
        await platform.deploy("app", behave=behave, **LIMITS)
        await platform.until(lambda: _count(platform, "app", 2), 20, "two instances")
        with stage.client(platform, "app", DEADLINE_S) as client:
            await client.open_loop(RATE, 4)
            client.phase = "during"
            async with client.running(RATE):
                await platform.update("app", env_vars={"BEHAVE": '{"exits_before_ready": true}'})
                await platform.until(
                    lambda: _rollout(platform, "app", "failed"), 20, "the rollout has failed"
                )
                rollout = (await platform.get("/api/functions/app"))["rollout"]
                stage.check(rollout["reason"], "the failed rollout tells no reason")
                await platform.update("app", env_vars={"BEHAVE": '{"never_ready": true}'})
                await asyncio.sleep(NEVER_READY_S)
                stage.check(
                    await _rollout(platform, "app", "pending", "failed"), "what never listens is ready"
                )
                await platform.update("app", env_vars={"BEHAVE": '{"respond_s": 0.04}'})
                await platform.until(
                    lambda: _rollout(platform, "app", "ready"), 20, "the mended one is ready"
                )


async def play_broken_microvm(stage: Stage) -> None:
    """An update to code that never gets ready, on microVMs: the old serves on, and the API tells why."""
    async with stage.platform(simulated=False) as platform:
        await platform.deploy("app", echo("1"), timeout_s=VM_DEADLINE_S, min_instances=1)
        await platform.until(lambda: _count(platform, "app", 1), 60, "an instance")
        with stage.client(platform, "app", VM_DEADLINE_S) as client:
            client.phase = "warming up"
            await client.once()
            client.phase = "before"
            await client.open_loop(VM_RATE, 4)
            client.phase = "during"
            async with client.running(VM_RATE):
                await platform.upload("app", archive(NEVER_LISTENS))
                took_s = await platform.until(
                    lambda: _rollout(platform, "app", "failed"), FAILED_WITHIN_S, "the rollout has failed"
                )
            rollout = (await platform.get("/api/functions/app"))["rollout"]
            stage.facts |= {"failed_after_s": round(took_s, 1), "told": rollout["reason"]}
            stage.check("not listening" in (rollout["console"] or ""), "the console is not told")
            versions = {j.document["code"] for j in stage.ledger.answered()}
            stage.check(versions == {"1"}, f"versions that answered: {versions}")


def check_order(stage: Stage, ledger: Ledger, versions: list[str]) -> int:
    """No request that was sent after an answer of a version got an older one. How many versions were seen."""
    number = {f"{sha}.ext4": n for n, sha in enumerate(versions)}
    known = [j for j in ledger.answered() if j.document["code"] in number]
    unknown = len(ledger.answered()) - len(known)
    stage.check(not unknown, f"{unknown} answers of versions that nobody uploaded meanwhile")
    newest_at: list[tuple[float, int]] = []
    for judged in sorted(known, key=lambda j: j.seen.ended_s):
        newest = max(number[judged.document["code"]], newest_at[-1][1] if newest_at else 0)
        newest_at.append((judged.seen.ended_s, newest))
    back = 0
    position = 0
    for judged in sorted(known, key=lambda j: j.seen.sent_s):
        while position < len(newest_at) and newest_at[position][0] < judged.seen.sent_s:
            position += 1
        newest = newest_at[position - 1][1] if position else 0
        back += number[judged.document["code"]] < newest
    stage.check(not back, f"{back} requests got an older version than one that had answered before")
    return len({j.document["code"] for j in known})


async def _count(platform: Platform, name: str, at_least: int) -> bool:
    return len(await platform.instances(name)) >= at_least


async def _rollout(platform: Platform, name: str, *statuses: str) -> bool:
    return (await platform.get(f"/api/functions/{name}"))["rollout"]["status"] in statuses
