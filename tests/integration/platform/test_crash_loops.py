"""What keeps failing: answered at once while it pauses, and tried again afterwards."""

from __future__ import annotations

import asyncio

from tests.integration.platform.conftest import archive

from aether.vmm.simulated.behaviour import Behaviour, Fault

CRASH = {"X-Simulated-Fault": "crash"}


async def crash(platform, times: int) -> None:
    for _ in range(times):
        answer = await platform.client.post("/functions/hello", headers=CRASH)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "instance_failed")
        assert "exit code 1" in answer.json()["error"]["message"]
        assert "retry-after" not in answer.headers


async def rollout(platform) -> dict:
    return (await platform.client.get("/api/functions/hello")).json()["rollout"]


async def test_the_call_after_a_crash_or_two_gets_a_fresh_instance_at_once(platform):
    await platform.deploy("hello")
    await crash(platform, 2)
    assert (await platform.client.post("/functions/hello")).status_code == 200


async def test_a_crash_loop_is_answered_at_once_and_told_and_tried_again(platform):
    await platform.deploy("hello")
    await crash(platform, 3)
    held = await platform.client.post("/functions/hello")
    error = held.json()["error"]
    assert (held.status_code, error["code"]) == (502, "instance_failed")
    assert "keeps ending" in error["message"]
    assert "exit code 1" in error["message"]
    assert "simulated crash" in error["hint"]
    assert int(held.headers["retry-after"]) in (1, 2)
    told = await rollout(platform)
    assert told["status"] == "crashing"
    assert "exit code 1" in told["reason"]
    assert "simulated crash" in told["console"]
    async with asyncio.timeout(10):
        while (answer := await platform.client.post("/functions/hello")).status_code == 502:
            await asyncio.sleep(0.1)
    assert answer.status_code == 200


async def test_a_crash_loop_ends_with_new_code(platform):
    await platform.deploy("hello")
    await crash(platform, 3)
    assert (await platform.client.post("/functions/hello")).status_code == 502
    await platform.upload("hello", archive(handler_js="// mended"))
    assert (await platform.client.post("/functions/hello")).status_code == 200
    async with asyncio.timeout(10):
        while (await rollout(platform))["status"] != "ready":
            await asyncio.sleep(0.05)


async def test_many_who_wait_after_the_pause_try_one_instance_and_not_one_each(platform):
    platform.behave["fragile"] = Behaviour(boot_s=0.2, fault=Fault.CRASH)
    function_id = await platform.deploy(
        "hello", env_vars={"BEHAVE": "fragile"}, max_concurrency=1, target_concurrency=1
    )
    for _ in range(3):
        assert (await platform.client.post("/functions/hello")).status_code == 502
    activator, routes = platform.embedded.gateway.activator, platform.embedded.gateway.routes
    function = routes.find(function_id)
    most = 0

    async def call() -> int:
        async with asyncio.timeout(20):
            while True:
                answer = await platform.client.post("/functions/hello")
                if "keeps ending" not in answer.text:
                    return answer.status_code
                await asyncio.sleep(0.05)

    calls = [asyncio.ensure_future(call()) for _ in range(10)]
    while not any(each.done() for each in calls):
        most = max(most, activator.starting(function), routes.ready(function))
        await asyncio.sleep(0.01)
    assert most == 1
    for each in calls:
        each.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_a_start_that_fails_is_answered_at_once_until_the_next_try(platform):
    platform.behave["bad"] = Behaviour(exits_before_ready=True, boot_s=0.3)
    await platform.deploy("hello", env_vars={"BEHAVE": "bad"})
    first = await platform.client.get("/functions/hello")
    assert (first.status_code, first.headers["retry-after"]) == (502, "1")
    began = asyncio.get_running_loop().time()
    held = await platform.client.get("/functions/hello")
    assert asyncio.get_running_loop().time() - began < 0.3, "nothing was booted for it"
    assert held.status_code == 502
    assert "did not start" in held.json()["error"]["message"]
    assert held.json()["error"]["hint"]
    platform.behave["bad"] = Behaviour()
    async with asyncio.timeout(10):
        while (answer := await platform.client.get("/functions/hello")).status_code == 502:
            await asyncio.sleep(0.1)
    assert answer.status_code == 200
