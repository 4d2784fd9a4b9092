"""A worker without its stores: what runs goes on serving, and all is told again when they are back."""

from __future__ import annotations

import asyncio

from tests.integration.worker.conftest import Cluster, call

from aether.ports.registry import instance_key


async def test_an_etcd_that_lost_everything_costs_no_instance(cluster: Cluster):
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine) as process:
        instance = await cluster.start("req-1")
        await asyncio.to_thread(cluster.etcd.lose_everything)
        await cluster.until(lambda entries: instance_key("fn-1", instance.instance_id) in entries)
        assert (await call(instance)).status_code == 200
        await cluster.put()
        await cluster.start("req-2")
        assert (await process.get("/readyz")).status_code == 200
        assert len(await cluster.instances()) == 2
