"""A gateway by another hand, with our workers."""

from __future__ import annotations

import json

import httpx
from tests.integration.foreign.plain import QUEUE, bare_job

CONTRACT = {
    "instance_id",
    "function_id",
    "worker_id",
    "host_ip",
    "proxy_port",
    "internal_ip",
    "status",
    "started_at",
}


async def instances(ours, function_id: str, count: int = 1) -> list[dict]:
    async def there():
        found = await ours.etcd.under(f"/functions/{function_id}/instances/")
        return [found] if len(found) == count else None

    [found] = await ours.until(there)
    return found


async def call(instance: dict, path: str = "/hello?x=1") -> dict:
    async with httpx.AsyncClient() as client:
        url = f"http://{instance['host_ip']}:{instance['proxy_port']}{path}"
        answer = await client.post(url, content=b"body")
        assert answer.status_code == 200, answer.text
        return answer.json()


async def test_a_bare_job_gets_an_instance_that_can_be_called(ours):
    await ours.code("fn-seed", foreign=True)
    await ours.worker()
    await ours.redis.lpush(QUEUE, json.dumps(bare_job("fn-seed")))
    [found] = await instances(ours, "fn-seed")
    assert found.keys() >= CONTRACT
    assert (found["status"], found["worker_id"], found["function_id"]) == ("ready", "wrk-ours", "fn-seed")
    answer = await call(found)
    assert (answer["method"], answer["path"], answer["body"]) == ("POST", "/hello?x=1", "body")
    assert (answer["entrypoint"], answer["env"]["GREETING"]) == ("handler.js", "hi")


async def test_a_bare_job_for_several_gets_them_once_each(ours):
    await ours.code("fn-seed", foreign=True)
    await ours.worker()
    await ours.redis.lpush(QUEUE, json.dumps(bare_job("fn-seed", count=3)))
    found = await instances(ours, "fn-seed", 3)
    assert len({(await call(each))["instance_id"] for each in found}) == 3
    assert await ours.redis.llen(QUEUE) == 0


async def test_a_job_that_does_not_fit_is_left_to_others(ours):
    await ours.code("fn-large", foreign=True)
    await ours.code("fn-small", foreign=True)
    await ours.worker(gib=1)
    await ours.redis.lpush(QUEUE, json.dumps(bare_job("fn-large", memory_mb=2048)))
    await ours.redis.lpush(QUEUE, json.dumps(bare_job("fn-small", memory_mb=64)))
    await instances(ours, "fn-small")
    [left] = await ours.redis.lrange(QUEUE, 0, -1)
    assert json.loads(left)["function_id"] == "fn-large"


async def test_an_instance_that_it_marks_as_draining_goes(ours):
    await ours.code("fn-seed", foreign=True)
    await ours.worker()
    await ours.redis.lpush(QUEUE, json.dumps(bare_job("fn-seed")))
    [found] = await instances(ours, "fn-seed")
    key = f"/functions/fn-seed/instances/{found['instance_id']}"
    await ours.etcd.put(key, found | {"status": "draining"})
    await instances(ours, "fn-seed", 0)
