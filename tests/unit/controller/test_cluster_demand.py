"""What is asked for anywhere is decided on, and not asked for again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.controller.conftest import Cluster, busy, function, idle, version

from aether.controller.controller import Controller
from aether.controller.demand import ClusterDemand
from aether.domain.function import Limits
from aether.domain.gateway import GatewayRecord
from aether.domain.gateways import TOO_OLD_S


class Wide(Cluster):
    """With a gateway elsewhere, whose record tests write."""

    async def elsewhere(self, **what) -> None:
        lease = await self.registry.lease("gw-2")
        at = self.clock.now() + timedelta(microseconds=len(self.registry.told) + 1)
        await lease.put_gateway(GatewayRecord("gw-2", "", "", at, **what))
        await self.settle()


@pytest.fixture
async def wide(make) -> Wide:
    cluster = await make()
    cluster.__class__ = Wide
    demand = ClusterDemand(
        cluster.activator, cluster.activator.others.told, cluster.routes, cluster.clock, lambda: True
    )
    cluster.controller = Controller(cluster.routes, demand, cluster.registry, cluster.clock)
    cluster.activator.on_room_wanted(cluster.controller.room_wanted)
    await cluster.second()
    return cluster


async def test_what_a_gateway_has_asked_for_is_not_started_again(wide: Wide):
    config = await wide.put(function(limits=Limits(min_instances=3)))
    await wide.elsewhere(starting={config.id: {1: 2}})
    await wide.second()
    assert await wide.started() == {config.id: 1}


async def test_what_a_gateway_asked_for_of_another_version_does_not_count(wide: Wide):
    config = await wide.put(function(limits=Limits(min_instances=1), revision=2))
    await wide.elsewhere(starting={config.id: {1: 2}})
    await wide.second()
    assert await wide.started() == {config.id: 1}


async def test_what_workers_have_taken_counts_though_nobody_tells_of_it(wide: Wide):
    """Asked for by a leader that is gone, or by a gateway of another hand."""
    config = await wide.put(function(limits=Limits(min_instances=2)))
    told = replace(wide.routes.workers["wrk-1"], starting={config.id: 1})
    wide.routes._put(told)
    await wide.controller.look()
    await wide.settle()
    assert await wide.started() == {config.id: 1}


async def test_no_more_start_at_once_than_may_whoever_asked(wide: Wide):
    config = await wide.put(function(limits=Limits(min_instances=9, max_starts_in_flight=4)))
    await wide.elsewhere(starting={config.id: {1: 3}})
    await wide.second()
    assert await wide.started() == {config.id: 1}


async def test_a_gateway_that_is_heard_of_no_more_has_asked_for_nothing(wide: Wide):
    config = await wide.put(function(limits=Limits(min_instances=1)))
    await wide.elsewhere(starting={config.id: {1: 1}})
    await wide.seconds(int(TOO_OLD_S) - 1)
    assert await wide.started() == {}
    await wide.seconds(2)
    assert await wide.started() == {config.id: 1}


async def test_nothing_leaves_while_requests_wait_at_another_gateway(wide: Wide):
    limits = Limits(instance_idle_timeout_s=2, scale_to_zero_after_s=2)
    config = await wide.put(function(limits=limits))
    await wide.ready("a", idle(100))
    for _ in range(3):
        await wide.elsewhere(waiting={config.id: 1})
        await wide.second()
    assert wide.draining() == []
    await wide.elsewhere()
    await wide.seconds(4)
    assert wide.draining() == ["a"]


async def test_room_is_made_for_a_request_that_waits_elsewhere_before_the_next_look(wide: Wide):
    wide.free_mem = 0
    await wide.put(function("fn-1"))
    config = await wide.put(function("fn-2"))
    await wide.ready("a", idle(100))
    await wide.seconds(2)
    await wide.elsewhere(waiting={config.id: 1}, missing_room={config.id: 1})
    assert wide.controller._room_wanted.is_set()
    await wide.controller.make_room()
    await wide.settle()
    assert wide.draining() == ["a"]


async def test_room_for_one_is_made_for_a_few_requests_at_several_gateways(wide: Wide):
    wide.free_mem = 0
    await wide.put(function("fn-1"))
    config = await wide.put(function("fn-2"))
    for name in "ab":
        await wide.ready(name, idle(100))
    await wide.seconds(2)
    await wide.elsewhere(waiting={config.id: 1}, missing_room={config.id: 1})
    await wide.call(config)
    await wide.second()
    assert len(wide.draining()) == 1


async def test_a_failed_version_is_tried_again_by_one(wide: Wide):
    config = await wide.put(replace(function(revision=2), good=version(1)))
    await wide.ready("a", busy(1), revision=1)
    wide.routes.rollouts.failed(config, 2, "it ended", "")
    await wide.second()
    for _ in range(60):
        await wide.elsewhere(starting={config.id: {2: 1}})
        await wide.second({"a": busy(1)})
    assert await wide.started() == {}, "another does"
    await wide.elsewhere()
    await wide.seconds(61)
    assert await wide.started() == {config.id: 1}
