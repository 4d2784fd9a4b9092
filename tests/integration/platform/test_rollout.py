"""How the newest version is doing, as the API tells it."""

from __future__ import annotations

import asyncio
import hashlib

from tests.integration.platform.conftest import archive

from aether.vmm.simulated.behaviour import Behaviour


async def rolled_out(platform, name: str) -> dict:
    """Its rollout, as soon as it is decided."""
    async with asyncio.timeout(10):
        while True:
            rollout = (await platform.client.get(f"/api/functions/{name}")).json()["rollout"]
            if rollout["status"] != "pending":
                return rollout


async def test_a_start_ahead_of_requests_makes_it_ready_with_its_phases(platform):
    await platform.deploy("hello")
    before = (await platform.client.get("/api/functions/hello")).json()["rollout"]
    assert (before["status"], before["reason"]) == ("pending", None)
    asked = await platform.client.post("/api/functions/hello/start")
    assert asked.status_code == 202
    rollout = await rolled_out(platform, "hello")
    assert rollout["status"] == "ready"
    assert rollout["revision"] == asked.json()["revision"]
    assert {"boot", "ready"} <= rollout["phases"].keys()
    answer = await platform.client.get("/functions/hello")
    assert "boot" not in answer.headers["server-timing"]


async def test_a_version_that_does_not_start_is_failed_with_the_console(platform):
    await platform.deploy("hello", env_vars={"BEHAVE": "this"})
    await platform.client.post("/api/functions/hello/start")
    assert (await rolled_out(platform, "hello"))["status"] == "ready"
    platform.behave["this"] = Behaviour(exits_before_ready=True)
    await platform.upload("hello", archive(handler_js="// broken"))
    await platform.client.post("/api/functions/hello/start")
    rollout = await rolled_out(platform, "hello")
    assert rollout["status"] == "failed"
    assert rollout["reason"]
    assert rollout["console"]
    platform.behave["this"] = Behaviour()
    await platform.upload("hello", archive(handler_js="// mended"))
    await platform.client.post("/api/functions/hello/start")
    assert (await rolled_out(platform, "hello"))["status"] == "ready"


async def test_a_failed_version_that_is_started_again_is_pending_until_it_is_decided_anew(platform):
    platform.behave["this"] = Behaviour(exits_before_ready=True)
    await platform.deploy("hello", env_vars={"BEHAVE": "this"})
    await platform.client.post("/api/functions/hello/start")
    assert (await rolled_out(platform, "hello"))["status"] == "failed"
    again = await platform.client.post("/api/functions/hello/start")
    assert again.json()["rollout"]["status"] == "pending"
    assert (await rolled_out(platform, "hello"))["status"] == "failed"
    platform.behave["this"] = Behaviour()
    await platform.client.post("/api/functions/hello/start")
    assert (await rolled_out(platform, "hello"))["status"] == "ready"


async def test_without_code_there_is_nothing_to_start(platform):
    await platform.client.post("/api/functions", json={"name": "empty", "runtime": "node"})
    answer = await platform.client.post("/api/functions/empty/start")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_code")
    rollout = (await platform.client.get("/api/functions/empty")).json()["rollout"]
    assert (rollout["status"], rollout["reason"]) == ("pending", "it has no code yet")


async def test_the_archives_sha256_tells_whether_the_content_changed(platform):
    code = archive(handler_js="// one")  # once: gzip puts the time into it
    await platform.deploy("hello", code)
    function = (await platform.client.get("/api/functions/hello")).json()
    assert function["archive_sha256"] == hashlib.sha256(code).hexdigest()
