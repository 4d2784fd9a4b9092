"""New code, and what serves while it is not ready."""

from __future__ import annotations

import asyncio

from tests.integration.platform.conftest import archive

from aether.vmm.simulated.behaviour import Behaviour


async def test_the_call_after_an_upload_is_served_by_the_new_code(platform):
    await platform.deploy("hello")
    old = (await platform.client.get("/functions/hello")).json()["instance_id"]
    await platform.upload("hello", archive(handler_js="// another"))
    new = (await platform.client.get("/functions/hello")).json()["instance_id"]
    assert new != old


async def test_a_running_call_on_the_old_code_ends_undisturbed(platform):
    await platform.deploy("hello")
    await platform.client.get("/functions/hello")
    slow = asyncio.ensure_future(
        platform.client.get("/functions/hello", headers={"X-Simulated-Respond-Ms": "2500"})
    )
    routes = platform.embedded.gateway.routes
    function = routes.find("hello")
    await platform.until(lambda: any(s.in_flight for s in routes.slots(function.id)))
    await platform.upload("hello", archive(handler_js="// another"))
    await platform.client.get("/functions/hello")
    assert (await slow).status_code == 200
    await platform.until(lambda: len(routes.instances(function.id)) == 1)


async def test_code_that_never_gets_ready_leaves_the_last_good_one_serving(platform):
    await platform.deploy("hello", env_vars={"BEHAVE": "good"})
    old = (await platform.client.get("/functions/hello")).json()["instance_id"]
    platform.behave["good"] = Behaviour(exits_before_ready=True)
    await platform.upload("hello", archive(handler_js="// broken"))
    answer = await platform.client.get("/functions/hello")
    assert answer.status_code == 200
    assert answer.json()["instance_id"] == old


async def test_calls_do_not_wait_for_new_code_while_the_old_is_there(platform):
    await platform.deploy("hello", env_vars={"BEHAVE": "hello"})
    old = (await platform.client.get("/functions/hello")).json()["instance_id"]
    platform.behave["hello"] = Behaviour(boot_s=1.0)
    upload = asyncio.ensure_future(platform.upload("hello", archive(handler_js="// another")))
    routes = platform.embedded.gateway.routes
    function_id = routes.find("hello").id
    await platform.until(lambda: routes.rolls(routes.find("hello")))
    assert (await platform.client.get("/functions/hello")).json()["instance_id"] == old
    await upload
    assert (await platform.client.get("/functions/hello")).json()["instance_id"] != old
    await platform.until(lambda: len(routes.instances(function_id)) == 1)


async def test_an_upload_that_takes_long_to_start_says_what_serves_until_then(platform, monkeypatch):
    monkeypatch.setattr("aether.gateway.api.functions.ROLL_OUT_WITHIN_S", 0.2)
    await platform.deploy("hello", env_vars={"BEHAVE": "hello"})
    old = (await platform.client.get("/functions/hello")).json()["instance_id"]
    platform.behave["hello"] = Behaviour(boot_s=3.0)
    answer = await platform.upload("hello", archive(handler_js="// another"))
    assert answer.json()["message"] == "hello still runs the code before, until an instance of this is ready"
    assert (await platform.client.get("/functions/hello")).json()["instance_id"] == old


async def test_an_upload_that_does_not_start_says_so_in_its_answer(platform):
    await platform.deploy("hello", env_vars={"BEHAVE": "good"})
    await platform.client.get("/functions/hello")
    platform.behave["good"] = Behaviour(exits_before_ready=True)
    answer = await platform.upload("hello", archive(handler_js="// broken"))
    assert "does not start with this code" in answer.json()["message"]


async def test_deleting_a_function_stops_its_instances(platform):
    function_id = await platform.deploy("hello")
    await platform.client.get("/functions/hello")
    assert (await platform.client.delete("/api/functions/hello")).status_code == 204
    assert (await platform.client.get("/functions/hello")).status_code == 404
    await platform.until(lambda: not platform.embedded.gateway.routes.instances(function_id))
