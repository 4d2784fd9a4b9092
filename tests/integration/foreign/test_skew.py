"""Gateway and worker of the version before, by what was recorded of them, with today's."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from tests.integration.foreign.conftest import SHA256, function
from tests.integration.foreign.plain import QUEUE
from tests.wire import recorded

ALL_BUT_NEWEST = recorded()[:-1]


def as_recorded(folder, shape_name: str, /, **values: object) -> dict:
    """With values that make sense here; the shape, and all other fields, are of that version."""
    shape = json.loads((folder / f"{shape_name}.json").read_text())
    assert shape.keys() >= values.keys()
    return shape | values


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nbefore")
    writer.close()


@pytest.mark.parametrize("folder", ALL_BUT_NEWEST, ids=lambda folder: folder.name)
async def test_a_worker_of_the_version_before_serves_calls_of_todays_gateway(ours, folder):
    server = await asyncio.start_server(answering, "127.0.0.1", 0)
    room = {"free_mem": 8 << 30, "free_slots": 9, "total_mem": 9 << 30, "runtimes": ["node"]}
    room |= {"draining": False, "short_of": 0, "max_instances": 0, "instance_overhead": 0}
    room |= {"instances": {}, "starting": {}, "failures": {}, "public_ip": "127.0.0.1"}
    await ours.etcd.put("/workers/wrk-before", as_recorded(folder, "worker", id="wrk-before", **room))
    client = await ours.gateway(function())
    call = asyncio.ensure_future(client.get("/functions/hello"))
    _, raw = await ours.redis.brpop([f"{QUEUE}:wrk-before", QUEUE])
    job = json.loads(raw)
    expected = as_recorded(folder, "job", function_id="fn-hello", code_sha256=SHA256)
    assert job.keys() >= expected.keys()
    instance = as_recorded(
        folder,
        "instance",
        instance_id="inst-before",
        function_id="fn-hello",
        worker_id="wrk-before",
        host_ip="127.0.0.1",
        proxy_port=server.sockets[0].getsockname()[1],
        status="ready",
        revision=job["revision"],
        drain_until=None,
    )
    reply = as_recorded(
        folder,
        "reply",
        request_id=job["request_id"],
        function_id="fn-hello",
        revision=job["revision"],
        instance_id="inst-before",
        error="",
        capacity=False,
    )
    await ours.redis.xadd(f"aether:replies:{job['reply_to']}", {"reply": json.dumps(reply)})
    await ours.etcd.put("/functions/fn-hello/instances/inst-before", instance)
    answer = await call
    assert (answer.status_code, answer.text) == (200, "before")
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("folder", ALL_BUT_NEWEST, ids=lambda folder: folder.name)
async def test_todays_worker_serves_jobs_and_configurations_of_a_gateway_of_the_version_before(ours, folder):
    version = as_recorded(folder, "config")["version"] | {"revision": 1, "code_sha256": SHA256}
    limits = as_recorded(folder, "config")["limits"] | {"health_path": "", "min_instances": 0}
    config = as_recorded(folder, "config", id="fn-1", name="one", version=version, good=None, limits=limits)
    await ours.etcd.put("/config/functions/fn-1", config)
    await ours.code("fn-1")
    await ours.worker()
    job = as_recorded(
        folder,
        "job",
        request_id="req-before",
        function_id="fn-1",
        runtime="node",
        code_sha256=SHA256,
        count=1,
        remaining_ms=20_000,
        reply_to="gateway:before",
        revision=1,
        port=3000,
    )
    await ours.redis.lpush(QUEUE, json.dumps(job))

    async def replied():
        return await ours.redis.xrange("aether:replies:gateway:before")

    [(_, fields)] = await ours.until(replied)
    reply = json.loads(fields[b"reply"])
    assert reply.keys() >= as_recorded(folder, "reply").keys()
    assert (reply["request_id"], reply["error"], reply["capacity"]) == ("req-before", "", False)

    async def there():
        return await ours.etcd.get(f"/functions/fn-1/instances/{reply['instance_id']}")

    instance = await ours.until(there)
    assert instance.keys() >= as_recorded(folder, "instance").keys()
    worker = await ours.etcd.get("/workers/wrk-ours")
    assert worker.keys() >= as_recorded(folder, "worker").keys()
