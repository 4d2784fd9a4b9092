"""Jobs of any kind, and what a worker says of itself."""

from __future__ import annotations

import json
from contextlib import aclosing

from prometheus_client.parser import text_string_to_metric_families
from tests.integration.worker.conftest import Cluster, call

from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.names import SHARED, taken_by

BARE = {"request_id": "req-bare", "function_id": "fn-1"}


async def test_a_job_for_several_instances_starts_so_many_and_is_done_once(cluster: Cluster):
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine, "wrk-1"):
        await cluster.submit("req-1", count=3)
        started = {(await cluster.reply()).instance_id for _ in range(3)}
        await cluster.until(lambda entries: sum("/instances/" in key for key in entries) == 3)
        assert {i.instance_id for i in await cluster.instances()} == started
        async with clients(cluster) as redis:
            assert await redis.commands.keys(taken_by("wrk-1/*")) == []
        assert len({(await call(i)).json()["instance_id"] for i in await cluster.instances()}) == 3


async def test_what_can_not_be_done_is_answered_and_costs_the_next_job_nothing(cluster: Cluster):
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine, "wrk-1"):
        await cluster.submit("req-1", "wrk-1", memory_mb=16_000)
        await cluster.submit("req-2", "wrk-1", runtime="cobol")
        await cluster.submit("req-3", "wrk-1", code_sha256="ab" * 32)
        told = {reply.request_id: reply for reply in [await cluster.reply() for _ in range(3)]}
        assert told["req-1"].capacity
        assert "16000 MiB are needed" in told["req-1"].error
        assert told["req-2"].error == "worker wrk-1 has no runtime cobol"
        assert "is not in the code store" in told["req-3"].error
        assert not told["req-3"].capacity
        async with clients(cluster) as redis:
            await redis.commands.lpush(SHARED, json.dumps({"request_id": 7, "count": "many"}))
            await redis.commands.lpush(SHARED, json.dumps({**BARE, "runtime": "cobol"}))
            await redis.commands.lpush(SHARED, json.dumps({**BARE, "memory_mb": 16_000}))
            await redis.commands.lpush(SHARED, json.dumps(BARE))
        await cluster.until(lambda entries: any("/instances/" in key for key in entries))
        await cluster.start("req-4")


async def test_it_answers_for_its_health_and_tells_its_figures(cluster: Cluster):
    await cluster.put()
    machine = await cluster.machine()
    async with cluster.worker(machine, "wrk-1") as process:
        await cluster.start("req-1")
        await cluster.submit("req-2", "wrk-1", runtime="cobol")
        await cluster.reply()
        assert (await process.get("/healthz")).json() == {"status": "ok", "worker_id": "wrk-1"}
        assert (await process.get("/readyz")).json() == {"status": "ready"}
        assert (await cluster.record("wrk-1")).port == process.address[1]
        shown = await process.get("/metrics")
        assert shown.headers["content-type"].startswith("text/plain")
        figures = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(shown.text)
            for sample in family.samples
        }
        assert figures["aether_worker_starts_total", "ready"] == 1
        assert figures["aether_worker_starts_total", "failed"] == 1
        assert figures["aether_worker_instances", "ready"] == 1
        assert figures["aether_worker_registered",] == 1
        assert figures["aether_worker_memory_bytes",] == cluster.total_bytes
        assert figures["aether_worker_start_seconds_count", "boot"] == 1
        missing = await process.get("/functions/hello")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


def clients(cluster: Cluster):
    return aclosing(RedisClients.open(cluster.redis.url))
