"""Calls that their instance did not take, or did not answer."""

from __future__ import annotations

import asyncio

import httpx
import pytest

SLOW = {"X-Simulated-Respond-Ms": "1500"}


async def in_company(platform, fault: str, methods: list[str]) -> tuple[httpx.Response, list[httpx.Response]]:
    """A POST that breaks the one instance while calls with these methods run on it."""
    function_id = await platform.deploy("hello", target_concurrency=16)
    await platform.client.get("/functions/hello")
    calls = [
        asyncio.ensure_future(platform.client.request(m, "/functions/hello", headers=SLOW)) for m in methods
    ]
    (slot,) = platform.embedded.gateway.routes.slots(function_id)
    await platform.until(lambda: slot.in_flight == len(methods))
    broke = await platform.client.post("/functions/hello", headers={"X-Simulated-Fault": fault})
    return broke, list(await asyncio.gather(*calls))


async def record_of(platform, answer: httpx.Response) -> dict:
    async with asyncio.timeout(10):
        while True:
            rows = (await platform.client.get("/api/functions/hello/invocations")).json()
            for row in rows:
                if row["id"] == answer.headers["x-call-id"]:
                    return row
            await asyncio.sleep(0.05)


async def test_idempotent_calls_that_ran_beside_the_one_that_broke_it_are_answered_by_another(platform):
    broke, others = await in_company(platform, "crash", ["GET", "PUT", "DELETE", "HEAD"])
    assert broke.status_code == 502
    assert {answer.status_code for answer in others} == {200}
    row = await record_of(platform, others[0])
    assert (row["status"], row["attempts"]) == ("success", 2)
    assert (await record_of(platform, broke))["attempts"] == 1
    text = (await platform.client.get("/metrics")).text
    assert 'outcome="sent"} 4.0' in text


async def test_what_is_not_idempotent_is_told_what_happened(platform):
    broke, (post, patch) = await in_company(platform, "crash", ["POST", "PATCH"])
    for answer in (broke, post, patch):
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "instance_failed")
        assert "exit code 1" in answer.json()["error"]["message"]
        assert "x-aether-unanswered" not in answer.headers


async def test_what_took_all_the_memory_is_not_tried_again(platform):
    _, (get,) = await in_company(platform, "oom", ["GET"])
    assert get.status_code == 502
    assert "ran out of memory" in get.json()["error"]["message"]


async def test_a_call_that_was_alone_is_what_broke_it_and_breaks_no_other(platform):
    await platform.deploy("hello")
    await platform.client.get("/functions/hello")
    answer = await platform.client.get("/functions/hello", headers={"X-Simulated-Fault": "crash"})
    assert answer.status_code == 502
    assert "exit code 1" in answer.json()["error"]["message"]
    assert (await record_of(platform, answer))["attempts"] == 1


async def test_a_call_that_breaks_two_instances_breaks_no_third(platform):
    function_id = await platform.deploy("hello", target_concurrency=16)
    await platform.client.get("/functions/hello")
    (slot,) = platform.embedded.gateway.routes.slots(function_id)
    beside = asyncio.ensure_future(platform.client.post("/functions/hello", headers=SLOW))
    await platform.until(lambda: slot.in_flight == 1)
    deadly = await platform.client.get("/functions/hello", headers={"X-Simulated-Fault": "crash"})
    assert deadly.status_code == 502
    assert (await beside).status_code == 502
    assert (await record_of(platform, deadly))["attempts"] == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_one_that_other_gateways_fill_is_waited_for_and_not_given_up(platform, method):
    function_id = await platform.deploy("hello", max_concurrency=1, target_concurrency=1, max_instances=1)
    await platform.client.get("/functions/hello")
    (slot,) = platform.embedded.gateway.routes.slots(function_id)
    instance = slot.instance
    async with httpx.AsyncClient(
        base_url=f"http://{instance.host_ip}:{instance.proxy_port}"
    ) as other_gateway:
        theirs = asyncio.ensure_future(other_gateway.get("/", headers=SLOW))
        loads = platform.embedded.gateway.routes.workers
        await platform.until(
            lambda: [i.in_flight for w in loads.values() for i in w.instances.values()] == [1]
        )
        ours = await platform.client.request(method, "/functions/hello")
        assert theirs.done()
        assert (await theirs).status_code == ours.status_code == 200
    assert ours.json()["instance_id"] == instance.instance_id
    assert not slot.lost
    row = await record_of(platform, ours)
    assert 2 <= row["attempts"] <= 20, "it was asked now and then, and not all the time"
    assert row["phases"]["queue"] > 0


async def test_deleting_a_function_in_the_middle_of_a_call_is_told_as_that(platform):
    function_id = await platform.deploy("hello")
    await platform.client.get("/functions/hello")
    (slot,) = platform.embedded.gateway.routes.slots(function_id)
    calls = [
        asyncio.ensure_future(platform.client.request(m, "/functions/hello", headers=SLOW))
        for m in ("GET", "POST")
    ]
    await platform.until(lambda: slot.in_flight == 2)
    assert (await platform.client.delete("/api/functions/hello")).status_code == 204
    for answer in await asyncio.gather(*calls):
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "instance_failed")
        assert "hello was deleted while it ran this request" in answer.json()["error"]["message"]
