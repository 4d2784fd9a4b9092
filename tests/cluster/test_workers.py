"""Three workers carry what gateways ask for, and one can go without anybody noticing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest
from tests.api import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def workers_of(api, name: str) -> set[str]:
    return {i["worker_id"] for i in await api.instances(name) if i["status"] == "ready"}


async def test_instances_spread_over_all_workers(cluster):
    one, _ = cluster.api
    await one.deploy("spread", min_instances=12, max_instances=12)
    await until(lambda: _count(one, "spread", 12), 10, "all instances")
    found = Counter(i["worker_id"] for i in await one.instances("spread"))
    # Each is placed on the less loaded of two random ones: how evenly is held where placement is tested.
    assert len(found) == 3, found
    assert max(found.values()) <= 6, found


async def test_load_at_both_gateways_scales_a_function_over_the_workers(cluster):
    one, other = cluster.api
    await one.deploy("loaded", max_concurrency=4, max_instances=6, timeout_s=20)
    slow = {"x-simulated-respond-ms": "500"}

    async def call(api) -> set[str]:
        seen = set()
        for _ in range(6):
            answer = await api.http.get("/functions/loaded/", headers=slow)
            assert answer.status_code == 200, answer.text
            seen.add(answer.json()["instance_id"])
        return seen

    used = set().union(*await asyncio.gather(*(call(api) for api in [one, other] * 8)))
    assert 4 <= len(used) <= 6
    assert len(await workers_of(one, "loaded")) >= 2


async def test_lines_of_all_workers_are_shown_by_any_gateway(cluster):
    one, other = cluster.api
    await one.deploy("printing", min_instances=3, max_instances=3)
    await until(lambda: _count(one, "printing", 3), 10, "three instances")
    paths = [f"/line-{number}" for number in range(30)]
    for number, path in enumerate(paths):
        assert (await (one, other)[number % 2].http.get(f"/functions/printing{path}")).is_success

    async def shown(api) -> bool:
        lines = await api.get("/api/functions/printing/logs?limit=1000")
        return {f"GET {path}" for path in paths} <= {line["text"] for line in lines}

    for api in (one, other):
        await until(lambda api=api: shown(api), 5, "all lines are shown")
    by_cli = await cluster.aether("logs", "printing")
    assert all(f"GET {path}" in by_cli for path in paths)


async def test_workers_and_status_are_shown_by_the_command(cluster):
    listed = json.loads(await cluster.aether("worker", "list", "--json"))
    assert {worker["id"] for worker in listed} == {host.name for host in cluster.hosts}
    assert {worker["hostname"] for worker in listed} == {host.name for host in cluster.hosts}
    assert {worker["public_ip"] for worker in listed} == {host.address for host in cluster.hosts}
    status = json.loads(await cluster.aether("status", "--json"))
    assert status["workers"] == 3
    assert "worker-1" in await cluster.aether("worker", "list")
    assert await cluster.aether("status")


async def test_a_drained_worker_hands_everything_over_and_ends(cluster):
    one, other = cluster.api
    await one.deploy("moving", min_instances=3, max_instances=3)
    await until(lambda: _count(one, "moving", 3), 10, "three instances")
    used = await workers_of(one, "moving")
    worker = next(worker for worker in cluster.workers if worker.name in used)
    stop = asyncio.Event()
    calling = asyncio.ensure_future(_call_until(stop, [one, other], "moving"))
    await cluster.aether("worker", "drain", worker.name)
    async with asyncio.timeout(20):
        assert await worker.ended() == 0
    stop.set()
    assert await calling == {200}
    assert worker.name not in await workers_of(one, "moving")
    await until(lambda: _count(one, "moving", 3), 10, "three instances elsewhere")
    assert len(await other.get("/api/workers")) == 2
    worker.start()
    await until(cluster.is_up, 20, "all workers again")


async def _call_until(stop: asyncio.Event, apis, name: str) -> set[int]:
    """Statuses of calls, one after the other."""
    seen = set()
    while not stop.is_set():
        for api in apis:
            seen.add((await api.http.get(f"/functions/{name}/")).status_code)
    return seen


async def _count(api, name: str, count: int) -> bool:
    return sum(1 for i in await api.instances(name) if i["status"] == "ready") == count
