"""A worker by another hand, with our gateway and beside our workers."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.foreign.conftest import SHA256, function
from tests.integration.foreign.plain import PlainWorker, bare_job

from aether.domain.function import Limits


@pytest.fixture
async def foreign(ours):
    """One that pops the oldest job."""
    worker = PlainWorker("wrk-foreign", ours.etcd, ours.redis)
    await worker.start()
    yield worker
    await worker.crash()


async def known(ours, worker_id: str, client) -> None:
    """Its record has come to our gateway: it doesn't answer `no worker is there` any more."""

    async def there():
        return "no worker is there" not in (await client.get("/functions/absent/x")).text

    await ours.until(there)


@pytest.mark.parametrize("newest_first", [False, True], ids=["BRPOP", "BLPOP"])
async def test_a_cold_call_is_served_by_it(ours, newest_first):
    worker = PlainWorker("wrk-foreign", ours.etcd, ours.redis, newest_first)
    await worker.start()
    client = await ours.gateway(function())
    answer = await client.get("/functions/hello/path?q=1")
    assert (answer.status_code, answer.text) == (200, "wrk-foreign /path?q=1")
    [job] = worker.jobs
    assert job.keys() >= bare_job("fn-hello").keys()
    assert (job["function_id"], job["image_id"], job["count"]) == ("fn-hello", "", 1)
    assert (job["runtime"], job["entrypoint"], job["memory_mb"], job["port"]) == (
        "node",
        "handler.js",
        128,
        3000,
    )
    assert (job["code_sha256"], job["env_vars"]) == (SHA256, {"GREETING": "hi"})
    assert (await client.get("/functions/hello/again")).text == "wrk-foreign /again"
    assert len(worker.jobs) == 1
    await worker.crash()


async def test_our_controller_leaves_its_instances_alone(ours, foreign):
    limits = Limits(instance_idle_timeout_s=0.1, scale_to_zero_after_s=0.2)
    client = await ours.gateway(function(limits=limits), function("ours", limits))
    await ours.code("fn-ours")
    assert (await client.get("/functions/hello")).text == "wrk-foreign /"
    await ours.worker()

    async def served_by_ours():
        return (await client.get("/functions/ours")).json()["function_id"] == "fn-ours"

    await ours.until(served_by_ours)

    async def ours_has_gone():
        return not await ours.etcd.under("/functions/fn-ours/instances/")

    await ours.until(ours_has_gone)
    [its] = await ours.etcd.under("/functions/fn-hello/instances/")
    assert its["status"] == "ready"


async def test_its_crash_costs_no_call_where_ours_can_serve(ours, foreign):
    client = await ours.gateway(function())
    await ours.code("fn-hello")
    assert (await client.get("/functions/hello")).text == "wrk-foreign /"
    await foreign.crash()
    await ours.worker()
    answers = await asyncio.gather(*(client.get("/functions/hello/x") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["path"] for answer in answers} == {"/x"}
    [its] = [
        i for i in await ours.etcd.under("/functions/fn-hello/instances/") if i["worker_id"] != "wrk-ours"
    ]
    assert its["status"] == "ready", "what another put there is not ours to take away"


async def test_it_takes_what_ours_has_no_room_for(ours, foreign):
    await ours.code("fn-hello")
    await ours.worker(gib=0)
    client = await ours.gateway(function())
    assert (await client.get("/functions/hello")).text == "wrk-foreign /"


async def test_ours_serves_what_it_has_room_for_itself(ours, foreign):
    await ours.code("fn-hello")
    await ours.worker()
    client = await ours.gateway(function())
    assert (await client.get("/functions/hello")).json()["function_id"] == "fn-hello"
    assert foreign.jobs == []
