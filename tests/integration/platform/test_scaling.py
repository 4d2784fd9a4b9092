"""Scaling seen from outside: up under load, down when idle, to zero and back."""

from __future__ import annotations

import asyncio


async def test_more_than_the_target_starts_another_instance(platform):
    await platform.deploy("hello", target_concurrency=1)
    await platform.client.get("/functions/hello")
    slow = {"X-Simulated-Respond-Ms": "3000"}
    calls = [asyncio.ensure_future(platform.client.get("/functions/hello", headers=slow)) for _ in range(3)]
    routes = platform.embedded.gateway.routes
    function = routes.find("hello")
    await platform.until(lambda: len(routes.instances(function.id)) > 1)
    assert {a.status_code for a in await asyncio.gather(*calls)} == {200}


async def test_an_idle_function_goes_to_zero_and_comes_back(platform):
    await platform.deploy("hello", scale_to_zero_after_s=1, instance_idle_timeout_s=1)
    first = (await platform.client.get("/functions/hello")).json()["instance_id"]
    routes = platform.embedded.gateway.routes
    function = routes.find("hello")
    await platform.until(lambda: not routes.instances(function.id))
    second = (await platform.client.get("/functions/hello")).json()["instance_id"]
    assert second != first


async def test_min_instances_are_there_before_any_call(platform):
    function_id = await platform.deploy("hello", min_instances=2)
    await platform.until(lambda: len(platform.embedded.gateway.routes.instances(function_id)) == 2)
