"""A full worker: idle instances leave for whoever is called, wherever the call and who scales are."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.gateways.conftest import Cluster, Member

from aether.vmm.simulated.behaviour import Behaviour

pytestmark = pytest.mark.slow


@pytest.fixture(params=["elsewhere", pytest.param("here", marks=pytest.mark.slow), "by itself"])
async def full(both: Cluster, request) -> tuple[Cluster, Member]:
    """Room for one instance; and a gateway, with who scales in another gateway, in it, or in none."""
    await both.worker(instances=1)
    if request.param == "by itself":
        lone = await both.controller()
        await both.until(lone.scaling.leads)
        [asked] = await both.gateways(1, with_controller=False, beside=1)
    else:
        leader, other = await both.gateways()
        await both.until(lambda: leader.leads)
        asked = leader if request.param == "here" else other
    told = asked.gateway.routes.gateways
    await both.until(lambda: any(record.leads for record in told.values()))
    return both, asked


async def test_a_call_gets_the_place_of_another_functions_idle_instance(full):
    cluster, asked = full
    await cluster.deploy(asked, "first")
    await cluster.deploy(asked, "second")
    for name in ("first", "second"):
        answer = await asked.call(name)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("full", ["elsewhere"], indirect=True)
async def test_a_new_version_gets_the_place_of_the_old_one(full):
    cluster, asked = full
    await cluster.deploy(asked, "hello")
    old = (await asked.call("hello")).json()["instance_id"]
    await cluster.upload(asked, "hello", "// another")
    answer = await asked.call("hello")
    assert answer.status_code == 200, answer.text
    assert answer.json()["instance_id"] != old


@pytest.mark.slow
@pytest.mark.parametrize("full", ["elsewhere"], indirect=True)
async def test_a_running_request_is_not_ended_for_another(full):
    cluster, asked = full
    function_id = await cluster.deploy(asked, "first")
    await cluster.deploy(asked, "second")
    slow = asyncio.ensure_future(asked.call("first", x_simulated_respond_ms="4500"))
    await cluster.until(lambda: any(w.load for w in asked.gateway.routes.workers.values()))
    answer = await asked.call("second")
    assert answer.json()["error"]["code"] == "no_capacity"
    assert (await slow).status_code == 200
    assert len(asked.instances(function_id)) == 1


async def test_where_nobody_scales_no_room_is_waited_for(cluster: Cluster):
    await cluster.worker(instances=1)
    [asked] = await cluster.gateways(1, with_controller=False)
    await cluster.deploy(asked, "first")
    await cluster.deploy(asked, "second")
    assert (await asked.call("first")).status_code == 200
    answer = await asked.call("second")
    assert answer.json()["error"]["code"] == "no_capacity"


@pytest.mark.slow
async def test_a_program_that_leaves_slowly_is_waited_for(cluster: Cluster):
    cluster.behave["slow"] = Behaviour(finish_s=2.5)
    await cluster.worker(instances=1)
    leader, other = await cluster.gateways()
    await cluster.until(lambda: leader.leads)
    for name in ("first", "second"):
        await cluster.deploy(leader, name, env_vars={"BEHAVE": "slow"})
    assert (await other.call("first")).status_code == 200
    answer = await other.call("second")
    assert answer.status_code == 200, answer.text
