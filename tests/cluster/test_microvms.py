"""Real microVMs on three hosts, and gateways of two processes each."""

from __future__ import annotations

import pytest
import pytest_asyncio
from tests.api import until
from tests.cluster.cluster import GATEWAY_PORT, REPOSITORY

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.vm]

EXAMPLE = REPOSITORY / "examples" / "hello-node"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hello(real) -> str:
    """The example, deployed by the command through haproxy."""
    await real.aether("deploy", str(EXAMPLE), "--name", "hello", "--min-instances", "2")
    await until(lambda: _ready(real, 2), 90, "two microVMs")
    return "hello"


async def test_the_example_is_called_through_both_gateways_and_haproxy(real, hello):
    for api in (*real.api, real.front_api):
        answer = await api.http.get(f"/functions/{hello}/?name=cluster")
        assert answer.json()["message"] == "Hello, cluster!", answer.text
    assert "Hello, " in await real.aether("invoke", hello)


async def test_its_microvms_run_on_the_workers_hosts(real, hello):
    instances = [i for i in await real.api[0].instances(hello) if i["status"] == "ready"]
    found = {host.name: len(host.processes("qemu-system")) for host in real.hosts}
    assert sum(found.values()) == len(instances) == 2
    assert {i["worker_id"] for i in instances} == {name for name, count in found.items() if count}


async def test_what_they_print_is_shown_by_the_other_gateway(real, hello):
    assert (await real.api[0].http.get(f"/functions/{hello}/?name=printed")).is_success

    async def shown() -> bool:
        lines = await real.api[1].get(f"/api/functions/{hello}/logs?limit=100")
        return "greeting printed" in {line["text"] for line in lines}

    await until(shown, 10, "the line is shown")


async def test_two_processes_serve_one_port_and_count_together(real, hello):
    """A call goes to whichever takes the connection; metrics are those of all."""
    gateway, api = real.gateways[0], real.api[0]
    calls = 40
    before = await _counted(api)
    for _ in range(calls):
        answer = await api.http.get(f"/functions/{hello}/", headers={"Connection": "close"})
        assert answer.is_success
    processes = [pid for pid in gateway.listeners(GATEWAY_PORT) if pid != gateway.pid]
    assert len(processes) == 2
    await until(lambda: _more(api, before, calls), 5, "all calls are counted")


async def _counted(api) -> float:
    """Calls that ended, over all functions."""
    text = (await api.http.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("aether_requests_total")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def _more(api, before: float, calls: int) -> bool:
    return await _counted(api) >= before + calls


async def _ready(real, count: int) -> bool:
    return sum(1 for i in await real.api[0].instances("hello") if i["status"] == "ready") >= count
