"""What makes no sense in etcd and in the queue: set aside, told of once, in nobody's way."""

from __future__ import annotations

import json

from structlog.testing import capture_logs
from tests.integration.foreign.conftest import function
from tests.integration.foreign.plain import QUEUE, bare_job

IN_ETCD = {
    "/workers/wrk-broken": "{",
    "/workers/wrk-list": "[]",
    "/workers/wrk-another": json.dumps({"id": "wrk-ours"}),
    "/workers/wrk-typed": json.dumps({"id": "wrk-typed", "free_mem": "plenty"}),
    "/workers/": "{}",
    "/workers/wrk/more": "{}",
    "/functions/fn-hello/instances/inst-null": "null",
    "/functions/fn-hello/instances/inst-nowhere": json.dumps(
        {"instance_id": "inst-nowhere", "function_id": "fn-hello", "host_ip": "", "proxy_port": 0}
        | {"status": "ready", "worker_id": "w"}
    ),
    "/functions/fn-hello/instances/inst-bytes": "\x00\x01",
    "/functions/fn-hello/what": "{}",
    "/config/functions/fn-broken": json.dumps({"id": "fn-broken", "name": 3}),
    "/config/other": "{}",
    "/aether/gateways/gw-broken": "no",
    "/aether/drains/wrk-broken": "no",
}
NO_JOBS = ["", "{", "[]", "null", "\x00", "17"]
BAD_JOBS = [
    {"request_id": "", "function_id": "fn-hello"},
    bare_job("fn-hello", memory_mb=1),
    bare_job("fn-hello", count=10**9),
    bare_job("fn-hello", port="many"),
    bare_job("fn-hello", env_vars=[1]),
]


async def served(client) -> bool:
    answer = await client.get("/functions/hello")
    return answer.status_code == 200 and answer.json()["function_id"] == "fn-hello"


async def test_garbage_in_etcd_is_told_of_once_by_each_reader_and_changes_nothing(ours):
    await ours.code("fn-hello")
    for key, value in IN_ETCD.items():
        await ours.etcd.put(key, value)
    with capture_logs() as logs:
        await ours.worker()
        client = await ours.gateway(function())
        assert await served(client)
        for key, value in IN_ETCD.items():
            await ours.etcd.put(key, value)
        await ours.etcd.delete("/functions/fn-hello/instances/inst-null")
        assert await served(client)
    told = [entry["key"] for entry in logs if entry["event"] == "garbage in the registry, set aside"]
    readers = 2
    assert {told.count(key) for key in set(told)} <= {1, readers}
    assert "/workers/wrk-broken" in told
    assert "/functions/fn-hello/instances/inst-nowhere" in told
    assert not [entry for entry in logs if entry.get("exc_info")]


async def test_garbage_in_the_queue_lies_among_the_rejected_and_holds_up_nobody(ours):
    await ours.code("fn-hello")
    await ours.code("fn-hello", foreign=True)
    garbage = [*NO_JOBS, *map(json.dumps, BAD_JOBS)]
    for each in garbage:
        await ours.redis.lpush(QUEUE, each)
    with capture_logs() as logs:
        await ours.worker()
        client = await ours.gateway(function())
        assert await served(client)

        async def rejected():
            found = await ours.redis.lrange(f"{QUEUE}:rejected", 0, -1)
            return found if len(found) == len(garbage) else None

        found = await ours.until(rejected)
        await ours.redis.lpush(QUEUE, json.dumps(bare_job("fn-hello")))

        async def twice():
            return len(await ours.etcd.under("/functions/fn-hello/instances/")) >= 2

        await ours.until(twice)
    assert set(map(bytes.decode, found)) >= set(NO_JOBS)
    told = [entry for entry in logs if entry["event"] == "garbage in the job queue, set aside"]
    assert len(told) == len(garbage)
    assert not [entry for entry in logs if entry.get("exc_info")]
    assert await ours.redis.llen(QUEUE) == 0
