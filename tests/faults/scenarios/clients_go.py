"""Clients that don't wait for their answers."""

from __future__ import annotations

import asyncio
import itertools

from tests.faults.load.connection import Connection
from tests.faults.load.request import LoadRequest, requests
from tests.faults.stage import Platform, Stage

CLIENTS = 1000
AT_ONCE = 250
DEADLINE_S = 20.0
RATE = 50.0
FREE_WITHIN_S = 2.0
RESPOND_S = 5.0
"""Simulated functions work on for clients that have gone: their ends are freed when they answer."""
FEW_DESCRIPTORS = 20


async def play(stage: Stage) -> None:
    """1,000 clients that go while requests run or wait, and more in a body's middle; others are served."""
    async with stage.platform() as platform:
        slow = {"respond_s": RESPOND_S}
        limits = {
            "timeout_s": DEADLINE_S,
            "max_concurrency": 50,
            "max_instances": 2,
            "instance_idle_timeout_s": 60,
        }
        await platform.deploy("left", behave=slow, min_instances=2, target_concurrency=50, **limits)
        await platform.deploy("beside", behave={"respond_s": 0.01}, min_instances=1, timeout_s=DEADLINE_S)
        await platform.until(lambda: _ready(platform), 20, "instances of both")
        with stage.client(platform, "beside", DEADLINE_S) as client:
            await client.open_loop(RATE, 3)
            before = platform.descriptors(), (await platform.control())["tasks"]
            client.phase = "during"
            freed_s = 0.0
            async with client.running(RATE):
                for mid_body in (*[False] * (CLIENTS // AT_ONCE), True):
                    await _go(stage, platform, _made(AT_ONCE, mid_body), mid_body)
                    freed_s = max(
                        freed_s, await platform.until(lambda: _free(platform), 20, "nothing in flight")
                    )
        await asyncio.sleep(RESPOND_S)
        after = platform.descriptors(), (await platform.control())["tasks"]
        stage.facts |= {
            "gone": len(stage.ledger.left),
            "freed_within_s": round(freed_s, 2),
            "descriptors": [before[0], after[0]],
        }
        stage.check(freed_s <= FREE_WITHIN_S, f"requests of gone clients ran on for {freed_s:.1f} s")
        stage.check(
            after[0] <= before[0] + FEW_DESCRIPTORS, f"descriptors: {before[0]} before, {after[0]} after"
        )
        stage.check(after[1] <= before[1] + FEW_DESCRIPTORS, f"tasks: {before[1]} before, {after[1]} after")


async def _ready(platform: Platform) -> bool:
    return len(await platform.instances("left")) == 2 and len(await platform.instances("beside")) == 1


async def _free(platform: Platform) -> bool:
    """The workers tell of no request of that function, once a second."""
    return all(i["in_flight"] == 0 for i in await platform.instances("left"))


def _made(count: int, bodies: bool) -> list[LoadRequest]:
    made = (request for request in requests("left") if request.body or not bodies)
    return list(itertools.islice(made, count))


async def _go(stage: Stage, platform: Platform, made: list[LoadRequest], mid_body: bool) -> None:
    """So many clients at once; they go when instances are full and the rest waits."""
    stage.ledger.left += made
    connections = [await Connection.open(platform.host, platform.port) for _ in made]
    for connection, request in zip(connections, made, strict=True):
        await connection.send(request, "/functions/left", whole=not mid_body)

    async def full() -> bool:
        return sum(i["in_flight"] or 0 for i in await platform.instances("left")) == 100

    await platform.until(full, 10, "both instances full")
    for connection in connections:
        connection.abort()
    await asyncio.sleep(0)
