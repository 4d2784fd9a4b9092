"""`AETHER_MAX_INSTANCES` bounds the instances of all functions together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.platform.conftest import Platform, running

from aether.vmm.simulated.behaviour import Behaviour


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Platform]:
    async with running(tmp_path / "data", lambda _spec: Behaviour(), max_instances=1) as it:
        await it.deploy("first")
        await it.deploy("second")
        yield it


async def test_what_is_over_it_is_told_which_setting_it_is(one: Platform) -> None:
    slow = asyncio.ensure_future(
        one.client.get("/functions/first", headers={"X-Simulated-Respond-Ms": "4000"})
    )
    workers = one.embedded.gateway.routes.workers
    await one.until(lambda: any(worker.load for worker in workers.values()))
    answer = await one.client.get("/functions/second")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_capacity")
    assert "as many instances as it may: 1 (AETHER_MAX_INSTANCES)" in answer.json()["error"]["message"]
    [told] = (await one.client.get("/api/workers")).json()
    assert (told["max_instances"], told["free_slots"]) == (1, 0)
    assert (await slow).status_code == 200


async def test_an_idle_instance_gives_its_place_to_another_function(one: Platform) -> None:
    for name in ("first", "second", "first"):
        assert (await one.client.get(f"/functions/{name}")).status_code == 200
        workers = one.embedded.gateway.routes.workers.values()
        assert sum(len(worker.instances) for worker in workers) <= 1
