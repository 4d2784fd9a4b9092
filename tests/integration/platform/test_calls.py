"""Calls through both hops: cold, warm, many at once, and the platform's own errors."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from aether.domain.instance import InstanceStatus
from aether.vmm.simulated.behaviour import Behaviour, Fault


async def test_a_cold_call_is_answered_and_the_next_goes_to_the_same_instance(platform):
    await platform.deploy("hello")
    cold = await platform.client.post("/functions/hello/a/b?x=1", content=b"body", headers={"X-Mine": "1"})
    warm = await platform.client.get("/functions/hello")
    assert cold.status_code == warm.status_code == 200
    assert cold.json()["instance_id"] == warm.json()["instance_id"]
    assert cold.json()["path"] == "/a/b?x=1"
    assert "boot;dur=" in cold.headers["server-timing"]
    assert "boot" not in warm.headers["server-timing"]
    assert cold.headers["x-call-id"].startswith("call-")


async def test_one_flight_starts_one_instance_for_sixteen_calls_at_once(platform):
    platform.behave["slow"] = Behaviour(boot_s=0.3)
    await platform.deploy("hello", env_vars={"BEHAVE": "slow"}, target_concurrency=16)
    answers = await asyncio.gather(*(platform.client.get("/functions/hello") for _ in range(16)))
    assert {a.status_code for a in answers} == {200}
    assert len({a.json()["instance_id"] for a in answers}) == 1


async def test_more_than_one_instance_holds_are_started_at_once(platform):
    platform.behave["slow"] = Behaviour(boot_s=0.3, respond_s=0.5)
    await platform.deploy("hello", env_vars={"BEHAVE": "slow"}, max_concurrency=2, target_concurrency=2)
    answers = await asyncio.gather(*(platform.client.get("/functions/hello") for _ in range(6)))
    assert {a.status_code for a in answers} == {200}
    assert len({a.json()["instance_id"] for a in answers}) == 3


async def test_an_unknown_function_is_404_with_the_call_id(platform):
    answer = await platform.client.get("/functions/nobody/x", headers={"X-Call-Id": "mine-1"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "function_not_found"
    assert answer.json()["error"]["call_id"] == answer.headers["x-call-id"] == "mine-1"


async def test_a_function_without_code_is_409(platform):
    await platform.client.post("/api/functions", json={"name": "empty", "runtime": "node"})
    answer = await platform.client.get("/functions/empty")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_code")


async def test_a_start_that_fails_is_502_with_the_console_in_the_hint(platform):
    platform.behave["bad"] = Behaviour(exits_before_ready=True)
    await platform.deploy("hello", env_vars={"BEHAVE": "bad"})
    answer = await platform.client.get("/functions/hello")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (502, "instance_failed")
    assert error["hint"]


async def test_the_deadline_covers_the_start(platform):
    platform.behave["slow"] = Behaviour(boot_s=5)
    await platform.deploy("hello", env_vars={"BEHAVE": "slow"})
    answer = await platform.client.get("/functions/hello", headers={"X-Timeout-Ms": "200"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert "boot" in answer.json()["error"]["message"]


async def test_the_deadline_covers_the_function(platform):
    await platform.deploy("hello", timeout_s=1)
    answer = await platform.client.get("/functions/hello", headers={"X-Simulated-Respond-Ms": "5000"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert "fn" in answer.json()["error"]["message"]


async def test_a_crash_in_a_call_is_502_and_the_next_call_gets_a_fresh_instance(platform):
    platform.behave["fragile"] = Behaviour(fault=Fault.CRASH, fault_after_requests=1)
    await platform.deploy("hello", env_vars={"BEHAVE": "fragile"})
    first = await platform.client.post("/functions/hello")
    crash = await platform.client.post("/functions/hello")
    after = await platform.client.post("/functions/hello")
    assert (first.status_code, crash.status_code, after.status_code) == (200, 502, 200)
    assert crash.json()["error"]["code"] == "instance_failed"
    assert after.json()["instance_id"] != first.json()["instance_id"]
    assert "x-aether-error" not in crash.headers
    routes = platform.embedded.gateway.routes
    fresh = [s for s in routes.slots(routes.find("hello").id) if s.instance.status is InstanceStatus.READY]
    assert len(fresh) == 1, "one start was enough"
    assert not fresh[0].lost
    recorded: dict[str, dict] = {}
    async with asyncio.timeout(10):
        while len(recorded) < 3:
            rows = (await platform.client.get("/api/functions/hello/invocations")).json()
            recorded = {row["id"]: row for row in rows}
    row = recorded[crash.headers["x-call-id"]]
    assert row["status"] == "error"
    assert row["error_message"].startswith("instance_failed: ")


async def test_the_platforms_key_does_not_reach_the_function_and_its_users_own_does(platform):
    await platform.deploy("hello")
    ours = (await platform.client.get("/functions/hello")).json()
    theirs = (await platform.client.get("/functions/hello", headers={"Authorization": "Bearer user"})).json()
    names = [name for name, _ in ours["headers"]]
    assert "authorization" not in names
    assert ["authorization", "Bearer user"] in theirs["headers"]


async def test_calls_are_recorded_with_their_phases(platform):
    await platform.deploy("hello")
    answer = await platform.client.get("/functions/hello/x")
    rows = []
    async with asyncio.timeout(10):
        while not rows:
            rows = (await platform.client.get("/api/functions/hello/invocations")).json()
    (row,) = rows
    assert row["id"] == answer.headers["x-call-id"]
    assert (row["status"], row["http_status"], row["cold"]) == ("success", 200, True)
    assert {"boot", "fn"} <= row["phases"].keys()


async def test_health_is_open_and_tells_when_it_takes_traffic(platform):
    platform.client.headers.pop("authorization")
    assert (await platform.client.get("/healthz")).status_code == 200
    await platform.until(lambda: platform.embedded.gateway.routes.workers)
    assert (await platform.client.get("/readyz")).status_code == 200
    assert (await platform.client.get("/metrics")).status_code == 200
    assert (await platform.client.get("/api/functions")).status_code == 401


async def test_metrics_count_calls_and_cold_starts(platform):
    function_id = await platform.deploy("hello")
    await platform.client.get("/functions/hello")
    await platform.client.get("/functions/hello")
    text = (await platform.client.get("/metrics")).text
    assert f'aether_requests_total{{function="{function_id}",status="200"}} 2.0' in text
    assert f'aether_cold_start_seconds_count{{function="{function_id}"}} 1.0' in text
    assert 'aether_instances{status="ready"} 1.0' in text


async def test_a_client_that_goes_while_it_waits_is_recorded_as_cancelled(platform):
    platform.behave["slow"] = Behaviour(boot_s=30)
    function_id = await platform.deploy("hello", env_vars={"BEHAVE": "slow"})
    with pytest.raises(httpx.ReadTimeout):
        await platform.client.get("/functions/hello", timeout=0.3)
    rows: list[dict] = []
    async with asyncio.timeout(10):
        while not rows:
            rows = (await platform.client.get("/api/functions/hello/invocations")).json()
    assert [row["status"] for row in rows] == ["cancelled"]
    assert platform.embedded.gateway.activator.waiting(function_id) == 0


@pytest.mark.parametrize("told", ["0", "-1", "1e3", "9" * 400, "9" * 5000])
async def test_a_timeout_that_is_no_time_is_400(platform, told):
    await platform.deploy("hello")
    answer = await platform.client.get("/functions/hello", headers={"X-Timeout-Ms": told})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("told", ["9" * 400, "9" * 5000])
async def test_a_proxy_takes_no_deadline_that_is_no_time(platform, told):
    function_id = await platform.deploy("hello")
    await platform.client.get("/functions/hello")
    (instance,) = platform.embedded.gateway.routes.instances(function_id)
    url = f"http://{instance.host_ip}:{instance.proxy_port}/"
    answer = await platform.client.get(url, headers={"X-Aether-Deadline-Ms": told})
    assert answer.status_code == 200


async def test_calls_with_one_call_id_are_records_of_their_own(platform):
    await platform.deploy("hello")
    for _ in range(3):
        await platform.client.get("/functions/hello", headers={"X-Call-Id": "again"})
    rows: list[dict] = []
    async with asyncio.timeout(10):
        while len(rows) < 3:
            rows = (await platform.client.get("/api/functions/hello/invocations")).json()
    assert {row["call_id"] for row in rows} == {"again"}
    assert len({row["id"] for row in rows}) == 3
