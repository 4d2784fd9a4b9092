"""Real microVMs outlive the process of their worker, and the next one takes them over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from tests.api import Api, until
from tests.cluster.cluster import GATEWAY_PORT, UP
from tests.faults.cluster.play import BEFORE_S, Play
from tests.faults.load import Cause, Client, Target
from tests.faults.stage.code import echo

INSTANCES = 2
RATE = 50.0
DEADLINE_S = 30.0
BOOTED_WITHIN_S = 90.0
BACK_WITHIN_S = 6.0
"""Gateways look every 5 s at least whether what they could not reach is there again."""
AFTER_S = 3.0


async def restart(play: Play) -> None:
    """A worker is restarted: the next one adopts its running microVMs, and no request is lost."""
    worker = play.cluster.workers[0]

    async def again() -> None:
        code = await worker.stop()
        play.stage.check(code == 0, f"the worker ended with {code}")
        worker.start()

    await _adopted(play, again)
    surplus = play.stage.facts["surplus_vms"]
    play.stage.check(not surplus, f"{surplus} VMs were started meanwhile")


async def crash(play: Play) -> None:
    """A worker is killed and started at once: its microVMs live on, and the next one adopts them."""
    worker = play.cluster.workers[0]

    async def again() -> None:
        async with play.killing():
            await worker.kill()
        since_s = time.monotonic()
        worker.start()
        await worker.said(UP, DEADLINE_S)
        # There is no other worker: where its lease ends before, calls are told so.
        within_s = time.monotonic() - since_s
        cause = Cause("no_capacity", int(RATE * within_s), since_s, since_s + within_s, phase="")
        play.stage.ledger.causes.append(cause)

    await _adopted(play, again)


async def _adopted(play: Play, again: Callable[[], Awaitable[None]]) -> None:
    fields = {"timeout_s": DEADLINE_S, "min_instances": INSTANCES, "max_instances": INSTANCES}
    names = {f["name"] for f in await play.api.get("/api/functions")}
    if "app" not in names:
        await play.api.deploy("app", echo(), **fields)
    await until(lambda: _ready(play.api), BOOTED_WITHIN_S, "the microVMs are up")
    before, machines = await _ids(play.api), play.machines()
    host = play.cluster.network.stores
    async with AsyncExitStack() as stack:
        client = Client(Target(host, GATEWAY_PORT, "/functions/app", DEADLINE_S), play.stage.ledger, "app")
        stack.callback(client.close)
        play.clients.append(client)
        client.phase = "warming up"
        await client.burst(INSTANCES * 2)
        client.phase = "before"
        await stack.enter_async_context(client.running(RATE))
        await asyncio.sleep(BEFORE_S)
        client.phase = "during"
        since_s = time.monotonic()
        await again()
        await play.cluster.workers[0].said(UP, DEADLINE_S)
        play.stage.facts["up_after_s"] = round(time.monotonic() - since_s, 1)
        await play.served_again(["app"], time.monotonic(), BACK_WITHIN_S)
        await asyncio.sleep(AFTER_S)
    after = play.machines()
    play.stage.facts["surplus_vms"] = len(after) - len(machines)
    play.stage.check(before <= await _ids(play.api), "instances from before are gone")
    play.stage.check(set(machines) <= set(after), f"VMs: {machines} before, {after} after")


async def _ready(api: Api) -> bool:
    return len(await _ids(api)) == INSTANCES


async def _ids(api: Api) -> set[str]:
    return {i["instance_id"] for i in await api.instances("app") if i["status"] == "ready"}
