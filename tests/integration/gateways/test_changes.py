"""What was changed at one gateway is so at all within a second, over real etcd and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.integration.gateways.conftest import Cluster, Member

from aether.vmm.simulated.behaviour import Behaviour

A_SECOND = 1.0
BROKEN, GOOD = Behaviour(exits_before_ready=True), Behaviour()


async def soon(condition: Callable[[], Awaitable[object]], within_s: float = A_SECOND) -> object:
    """What it is when it is so."""
    async with asyncio.timeout(within_s):
        while not (found := await condition()):
            await asyncio.sleep(0.01)
    return found


async def same_rollout(members: list[Member], name: str, status: str, within_s: float = A_SECOND) -> dict:
    """As all of them tell it."""

    async def told() -> dict | None:
        one, *others = [await member.rollout(name) for member in members]
        same = all(other == one for other in others)
        return one if same and one["status"] == status else None

    return await soon(told, within_s)


async def test_a_function_is_served_changed_and_gone_at_all_gateways(engines: Cluster):
    await engines.worker()
    one, other = await engines.gateways()
    function_id = await engines.deploy(one, "hello")
    assert (await other.call("hello")).status_code == 200
    assert (await one.call("hello")).status_code == 200
    changed = await other.client.put(f"/api/functions/{function_id}", json={"name": "hallo"})
    assert changed.status_code == 200

    async def renamed() -> bool:
        return [(await one.call(name)).status_code for name in ("hallo", "hello")] == [200, 404]

    await soon(renamed)
    assert (await one.client.delete("/api/functions/hallo")).status_code == 204

    async def gone() -> bool:
        return (await other.call("hallo")).status_code == 404

    await soon(gone)


async def test_new_code_rolls_out_once_and_is_told_alike(engines: Cluster):
    await engines.worker()
    one, other = await engines.gateways()
    function_id = await engines.deploy(one, "hello")
    assert (await one.call("hello")).status_code == 200
    first = await same_rollout([one, other], "hello", "ready")
    assert first["phases"]
    await engines.upload(other, "hello", "// another")
    second = await same_rollout([one, other], "hello", "ready", within_s=3)
    assert second["revision"] > first["revision"]
    answers = {(await member.call("hello")).json()["instance_id"] for member in (one, other)}
    newest = {i.instance_id for i in one.instances(function_id) if i.revision == second["revision"]}
    assert answers == newest
    assert len(newest) == 1, "each of them started one"


async def test_a_version_that_does_not_start_is_told_alike_and_the_one_before_serves(engines: Cluster):
    engines.behave["this"] = GOOD
    await engines.worker()
    one, other = await engines.gateways()
    await engines.deploy(one, "hello", env_vars={"BEHAVE": "this"})
    served = (await one.call("hello")).json()["instance_id"]
    await same_rollout([one, other], "hello", "ready")
    engines.behave["this"] = BROKEN
    await engines.upload(one, "hello", "// broken")
    failed = await same_rollout([one, other], "hello", "failed")
    assert failed["reason"]
    assert failed["console"]
    for member in (one, other):
        assert (await member.call("hello")).json()["instance_id"] == served
    late = await engines.gateway()
    assert await late.rollout("hello") == failed, "also one that came later"
    engines.behave["this"] = GOOD
    assert (await other.client.post("/api/functions/hello/start")).status_code == 202
    await same_rollout([one, other, late], "hello", "ready", within_s=3)


async def test_what_fails_to_start_is_answered_at_once_by_a_gateway_that_never_tried(engines: Cluster):
    engines.behave["this"] = BROKEN
    await engines.worker()
    one, other = await engines.gateways()
    await engines.deploy(one, "hello", env_vars={"BEHAVE": "this"})
    failed = await one.call("hello")
    assert failed.json()["error"]["code"] == "instance_failed"
    told = await same_rollout([one, other], "hello", "failed")
    tried = engines.machines["wrk-1"]
    answer = await other.call("hello")
    assert answer.status_code == 502
    assert "next try in" in answer.json()["error"]["message"]
    assert told["reason"] in answer.json()["error"]["message"]
    assert not await tried.list()
