"""Starts that several gateways need at once: no more than there may be, and none twice."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.gateways.conftest import Cluster, Member

from aether.vmm.simulated.behaviour import Behaviour

pytestmark = pytest.mark.slow


@pytest.fixture
async def two(both: Cluster) -> tuple[Cluster, list[Member]]:
    await both.worker("wrk-1")
    await both.worker("wrk-2")
    both.behave["slow"] = Behaviour(boot_s=0.4)
    return both, await both.gateways()


async def burst(members: list[Member], name: str, each: int) -> None:
    """At all of them at once; all are answered."""
    calls = [member.call(name, x_simulated_respond_ms="50") for member in members for _ in range(each)]
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200}, answers[0].text


@pytest.mark.parametrize("most", [1, 3])
async def test_a_burst_at_two_gateways_starts_no_more_than_there_may_be(two, most):
    cluster, members = two
    limits = {"max_instances": most, "max_concurrency": 4, "target_concurrency": 4}
    function_id = await cluster.deploy(members[0], "hello", env_vars={"BEHAVE": "slow"}, **limits)
    await burst(members, "hello", each=10)
    assert cluster.booted[function_id] == most
    assert len(members[0].instances(function_id)) == most, "none left again"


async def test_a_burst_starts_no_more_at_a_time_than_may_be(two):
    cluster, members = two
    limits = {"max_starts_in_flight": 2, "max_concurrency": 4, "target_concurrency": 4}
    function_id = await cluster.deploy(members[0], "hello", env_vars={"BEHAVE": "slow"}, **limits)
    most = 0
    calls = asyncio.ensure_future(burst(members, "hello", each=10))
    while not calls.done():
        there = {i.instance_id for member in members for i in member.instances(function_id)}
        most = max(most, cluster.booted[function_id] - len(there))
        await asyncio.sleep(0.005)
    await calls
    assert most == 2


async def test_requests_at_two_gateways_share_what_one_of_them_has_asked_for(two):
    cluster, members = two
    function_id = await cluster.deploy(members[0], "hello", env_vars={"BEHAVE": "slow"})
    first = asyncio.ensure_future(members[0].call("hello"))
    others = members[1].gateway.activator.others
    await cluster.until(lambda: others.starting(function_id, 2))
    second = await members[1].call("hello")
    assert (await first).json()["instance_id"] == second.json()["instance_id"]
    assert "boot" in second.headers["server-timing"], "it waited for that start as well"
    assert cluster.booted[function_id] == 1


async def test_controller_by_itself_and_gateways_start_what_is_needed_once(both: Cluster):
    await both.worker()
    both.behave["slow"] = Behaviour(boot_s=0.4)
    lone = await both.controller()
    await both.until(lone.scaling.leads)
    members = await both.gateways(2, with_controller=False, beside=1)
    function_id = await both.deploy(members[0], "hello", env_vars={"BEHAVE": "slow"}, min_instances=2)
    others = [member.gateway.activator.others for member in members]
    await both.until(lambda: all(each.starting(function_id, 2) == 2 for each in others))
    await burst(members, "hello", each=2)
    await both.until(lambda: len(members[1].instances(function_id)) == 2)
    assert both.booted[function_id] == 2
