"""Who scales goes: another does, and nothing else changes. Over real etcd, cut as networks are cut."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.gateways.conftest import Cluster, Member
from tests.proxies import network

from aether.domain.gateway import GatewayRecord
from aether.domain.gateways import TOO_OLD_S

WITHIN_S = 5.0
"""Source: issue of several hosts: its death changes nothing but who scales, within 5 s."""


async def led(cluster: Cluster, members: list[Member], within_s: float = WITHIN_S) -> Member:
    await cluster.until(lambda: any(member.leads for member in members), within_s)
    [leader] = [member for member in members if member.leads]
    return leader


async def test_a_gateway_that_stops_hands_scaling_over_at_once(engines: Cluster):
    await engines.worker()
    members = await engines.gateways()
    leader = await led(engines, members)
    [other] = [member for member in members if member is not leader]
    function_id = await engines.deploy(other, "hello", min_instances=1)
    await engines.until(lambda: other.instances(function_id))
    [scales] = leader.tasks[1:]
    scales.cancel()
    await led(engines, [other], within_s=0.5)
    await other.client.put("/api/functions/hello", json={"min_instances": 2})
    await engines.until(lambda: len(other.instances(function_id)) == 2)


@pytest.mark.slow
async def test_a_leader_that_is_cut_off_acts_no_more_and_another_scales_within_five_seconds(
    engines: Cluster, etcd_server
):
    await engines.worker()
    async with network(etcd_server.port) as net:
        cut_off = await engines.gateway(etcd_url=f"http://127.0.0.1:{net.port}")
        await engines.until(lambda: cut_off.leads)
        other = await engines.gateway()
        function_id = await engines.deploy(other, "hello", min_instances=1)
        await engines.until(lambda: cut_off.instances(function_id) and other.instances(function_id))
        net.flows.clear()
        await led(engines, [other])
        assert not cut_off.leads
        for member in (cut_off, other):
            assert (await member.call("hello")).status_code == 200, "routes are as last known"
        await other.client.put("/api/functions/hello", json={"min_instances": 2})
        await engines.until(lambda: len(other.instances(function_id)) == 2)
        net.flows.set()
        await engines.until(lambda: len(cut_off.instances(function_id)) == 2)
        assert other.leads
        assert not cut_off.leads


@pytest.mark.slow
async def test_while_etcd_is_away_nobody_leads_and_nothing_leaves(engines: Cluster, etcd_server):
    await engines.worker()
    members = await engines.gateways()
    times = {"instance_idle_timeout_s": 0.1, "scale_to_zero_after_s": 2.0}
    function_id = await engines.deploy(members[0], "hello", **times)
    assert (await members[0].call("hello")).status_code == 200
    await led(engines, members)
    etcd_server.pause()
    try:
        await engines.until(lambda: not any(member.leads for member in members))
        assert (await members[1].call("hello")).status_code == 200
        assert engines.booted[function_id] == 1
    finally:
        etcd_server.resume()
    leader = await led(engines, members, within_s=8.0)
    await engines.until(lambda: not leader.instances(function_id))


@pytest.mark.slow
async def test_what_a_gateway_that_died_had_asked_for_counts_no_more(cluster: Cluster):
    """Its record is there until its lease runs out; a record that has stopped changing tells nothing."""
    await cluster.worker()
    leader = await cluster.gateway()
    function_id = await cluster.deploy(leader, "hello", max_instances=1)
    five_minutes_ahead = datetime.now(UTC) + timedelta(minutes=5)
    lease = await leader.stores.registry.lease("gw-dead")
    await lease.put_gateway(
        GatewayRecord(
            "gw-dead", "", "", five_minutes_ahead, waiting={function_id: 9}, starting={function_id: {2: 1}}
        )
    )
    await cluster.until(lambda: leader.gateway.routes.gateways.get("gw-dead"))
    call = asyncio.ensure_future(leader.call("hello"))
    began = asyncio.get_running_loop().time()
    assert (await call).status_code == 200
    assert TOO_OLD_S - 1 < asyncio.get_running_loop().time() - began < TOO_OLD_S + 2
    await lease.close()
