"""Bursts and floods: who waits, who is told to come again, and that nobody is forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx

from aether.vmm.simulated.behaviour import Behaviour


async def burst(platform, name: str, count: int, **headers: str) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=platform.client.base_url, limits=limits, timeout=60, headers=headers
    ) as client:
        return list(await asyncio.gather(*(client.get(f"/functions/{name}") for _ in range(count))))


async def test_a_burst_at_a_cold_function_is_answered_by_as_many_instances_as_it_needs(platform):
    # A worker starts some at a time: answers take longer than that, so that all are needed.
    platform.behave["slow"] = Behaviour(boot_s=0.3, respond_s=4)
    function_id = await platform.deploy(
        "hello", env_vars={"BEHAVE": "slow"}, max_concurrency=10, target_concurrency=10
    )
    answers = await burst(platform, "hello", 100)
    assert Counter(answer.status_code for answer in answers) == {200: 100}
    assert len(platform.embedded.gateway.routes.instances(function_id)) == 10


async def test_what_is_too_much_is_told_so_once_all_instances_are_busy_or_spoken_for(platform):
    platform.behave["slow"] = Behaviour(boot_s=0.5, respond_s=0.1)
    await platform.deploy(
        "hello",
        env_vars={"BEHAVE": "slow"},
        max_concurrency=5,
        target_concurrency=5,
        max_instances=4,
        max_waiting=30,
    )
    answers = await burst(platform, "hello", 80)
    assert Counter(answer.status_code for answer in answers) == {200: 50, 429: 30}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "over_limit"
    assert int(refused.headers["retry-after"]) >= 1
    rows = []

    async def recorded() -> bool:
        rows[:] = (await platform.client.get("/api/functions/hello/invocations?limit=100")).json()
        return len(rows) == 80

    while not await recorded():
        await asyncio.sleep(0.01)
    statuses = Counter((row["http_status"], row["status"]) for row in rows)
    assert statuses == {(200, "success"): 50, (429, "error"): 30}


async def test_with_no_waiting_allowed_the_first_call_still_starts_an_instance(platform):
    await platform.deploy("hello", max_waiting=0, max_instances=1, max_concurrency=1, target_concurrency=1)
    slow = {"X-Simulated-Respond-Ms": "500"}
    first = asyncio.ensure_future(platform.client.get("/functions/hello", headers=slow))
    routes = platform.embedded.gateway.routes
    function = routes.find("hello")
    await platform.until(lambda: any(slot.in_flight for slot in routes.slots(function.id)))
    assert (await platform.client.get("/functions/hello")).status_code == 429
    assert (await first).status_code == 200
    assert (await platform.client.get("/functions/hello")).status_code == 200


async def test_the_function_is_told_the_time_that_is_left(platform):
    await platform.deploy("hello", timeout_s=20)
    for told, most in (({}, 20_000), ({"X-Timeout-Ms": "5000"}, 5_000), ({"X-Timeout-Ms": "60000"}, 20_000)):
        answer = await platform.client.get("/functions/hello", headers=told)
        (left,) = [value for name, value in answer.json()["headers"] if name == "x-timeout-ms"]
        assert most - 4_000 < int(left) <= most


async def test_a_deadline_in_the_queue_names_the_queue(platform):
    await platform.deploy("hello", max_concurrency=1, target_concurrency=1, max_instances=1)
    await platform.client.get("/functions/hello")
    busy = asyncio.ensure_future(
        platform.client.get("/functions/hello", headers={"X-Simulated-Respond-Ms": "1000"})
    )
    routes = platform.embedded.gateway.routes
    (slot,) = routes.slots(routes.find("hello").id)
    await platform.until(lambda: slot.in_flight)
    late = await platform.client.get("/functions/hello", headers={"X-Timeout-Ms": "200"})
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert "(phase: queue)" in late.json()["error"]["message"]
    assert (await busy).status_code == 200
