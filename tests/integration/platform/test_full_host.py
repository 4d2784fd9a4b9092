"""A host with memory for few instances: idle ones leave for whoever is called."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.platform.conftest import archive, running

from aether.domain.memory import instance_bytes
from aether.vmm.simulated.behaviour import Behaviour
from aether.worker.capacity import RESERVE, Capacity

pytestmark = pytest.mark.slow


def room_for(instances: int) -> Capacity:
    total = RESERVE + instances * instance_bytes(128)
    return Capacity(lambda: (total, total))


@pytest.fixture
async def full(tmp_path):
    """One instance fits."""
    async with running(tmp_path / "data", lambda _spec: Behaviour(), capacity=room_for(1)) as it:
        yield it


async def test_a_call_gets_the_place_of_another_functions_idle_instance(full):
    await full.deploy("first")
    await full.deploy("second")
    for name in ("first", "second", "first"):
        answer = await full.client.get(f"/functions/{name}")
        assert answer.status_code == 200, answer.text


async def test_a_call_waits_for_a_place_that_a_function_leaves_slowly(tmp_path):
    """All the time that a program takes to finish, its memory is not free, and it is no idle instance."""
    slow = Behaviour(finish_s=2.9)
    async with running(tmp_path / "data", lambda _spec: slow, capacity=room_for(1)) as full:
        await full.deploy("first")
        await full.deploy("second")
        for name in ("first", "second", "first"):
            answer = await full.client.get(f"/functions/{name}")
            assert answer.status_code == 200, answer.text


async def test_a_new_version_gets_the_place_of_the_old_one(full):
    await full.deploy("hello")
    old = (await full.client.get("/functions/hello")).json()["instance_id"]
    await full.upload("hello", archive(handler_js="// another"))
    answer = await full.client.get("/functions/hello")
    assert answer.status_code == 200, answer.text
    assert answer.json()["instance_id"] != old


async def test_a_running_request_is_not_ended_for_another(full):
    await full.deploy("first")
    await full.deploy("second")
    slow = asyncio.ensure_future(
        full.client.get("/functions/first", headers={"X-Simulated-Respond-Ms": "6000"})
    )
    routes = full.embedded.gateway.routes
    function = routes.find("first")
    await full.until(lambda: any(s.in_flight for s in routes.slots(function.id)))
    await full.until(lambda: any(w.load for w in routes.workers.values()))
    answer = await full.client.get("/functions/second")
    assert answer.json()["error"]["code"] == "no_capacity"
    assert (await slow).status_code == 200
