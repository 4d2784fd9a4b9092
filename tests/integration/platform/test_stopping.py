"""The platform is asked to end while calls run and wait."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest
from tests.integration.platform.conftest import running

from aether.vmm.simulated.behaviour import Behaviour


async def test_running_and_waiting_calls_are_answered_and_new_connections_refused(platform):
    platform.behave["slow"] = Behaviour(boot_s=0.5, respond_s=0.3)
    function_id = await platform.deploy(
        "hello", env_vars={"BEHAVE": "slow"}, max_concurrency=2, target_concurrency=2, max_instances=2
    )
    calls = [asyncio.ensure_future(platform.client.get("/functions/hello")) for _ in range(20)]
    activator = platform.embedded.gateway.activator
    await platform.until(lambda: activator.waiting(function_id) == 20)
    platform.stop.set()
    answers = await asyncio.gather(*calls)
    assert Counter(answer.status_code for answer in answers) == {200: 20}
    assert {answer.headers.get("connection") for answer in answers} == {"close"}
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient(base_url=platform.client.base_url) as late:
            await late.get("/healthz")


async def test_a_kept_connection_takes_one_more_call_and_is_told_that_it_was_the_last(platform):
    await platform.deploy("hello")
    await platform.client.post("/functions/hello")
    platform.stop.set()
    await platform.until(platform.embedded.gateway.not_ready)
    answer = await platform.client.post("/functions/hello")
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


async def test_followed_logs_end_and_hold_nothing_up(platform):
    await platform.deploy("hello")
    async with platform.client.stream("GET", "/api/functions/hello/logs?follow") as followed:
        assert followed.status_code == 200
        platform.stop.set()
        async with asyncio.timeout(5):  # its drain time is 35 s
            assert await followed.aread() == b""  # the regular end of a chunked body: httpx minds any other
    await platform.until(platform.ended, within_s=10)


async def test_calls_that_outlast_the_drain_time_are_told_that_the_platform_stops(tmp_path):
    slow = Behaviour(respond_s=20)
    async with running(tmp_path, lambda _spec: slow, drain_timeout_s=1) as platform:
        await platform.deploy("hello")
        call = asyncio.ensure_future(platform.client.get("/functions/hello"))
        await platform.until(lambda: [*platform.embedded.gateway.routes.functions()])
        (function,) = platform.embedded.gateway.routes.functions()
        slots = platform.embedded.gateway.routes.slots
        await platform.until(lambda: any(slot.in_flight for slot in slots(function.id)))
        platform.stop.set()
        async with asyncio.timeout(5):
            answer = await call
        assert answer.status_code == 503
        assert answer.json()["error"]["message"] == "the platform stopped before there was an answer"


async def test_it_takes_no_traffic_when_every_worker_drains(platform):
    await platform.until(lambda: platform.embedded.gateway.routes.workers)
    assert (await platform.client.get("/readyz")).status_code == 200
    (worker_id,) = platform.embedded.gateway.routes.workers
    assert (await platform.client.post(f"/api/workers/{worker_id}/drain")).status_code == 202
    await platform.until(platform.embedded.gateway.not_ready)
    answer = await platform.client.get("/readyz")
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, "every worker drains")
