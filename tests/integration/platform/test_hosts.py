"""Functions by host name: under the base domain, and by domains of their own."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.platform.conftest import running

from aether.vmm.simulated.behaviour import Behaviour


@pytest.fixture
async def platform(tmp_path):
    async with running(tmp_path / "data", lambda _spec: Behaviour(), base_domain="fn.localhost") as it:
        yield it


async def path_seen(platform, host: str, path: str) -> str:
    answer = await platform.client.get(path, headers={"Host": host})
    assert answer.status_code == 200, answer.text
    return answer.json()["path"]


async def test_a_name_before_the_base_domain_leads_to_the_function_without_prefix(platform):
    await platform.deploy("shop")
    assert await path_seen(platform, "shop.fn.localhost:8080", "/api/functions?x=1") == "/api/functions?x=1"
    assert await path_seen(platform, "SHOP.fn.localhost.", "/functions/other") == "/functions/other"
    assert await path_seen(platform, "elsewhere", "/functions/shop/a") == "/a"


async def test_a_domain_of_its_own_leads_to_the_function(platform):
    await platform.deploy("shop", domains=["Shop.Example.com"])
    assert await path_seen(platform, "shop.example.com", "/healthz") == "/healthz"
    changed = await platform.client.put("/api/functions/shop", json={"domains": []})
    assert changed.json()["domains"] == []
    gone = await platform.client.get("/healthz", headers={"Host": "shop.example.com"})
    assert gone.json() == {"status": "ok"}


async def test_a_domain_is_one_functions_only(platform):
    await platform.deploy("shop", domains=["shop.example.com"])
    answer = await platform.client.post(
        "/api/functions", json={"name": "other", "runtime": "node", "domains": ["shop.example.com"]}
    )
    assert answer.status_code == 409
    assert "shop.example.com" in answer.json()["error"]["fields"]["domains"]


async def test_a_name_that_nothing_has_is_404_and_never_the_management_api(platform):
    answer = await platform.client.get("/api/functions", headers={"Host": "nobody.fn.localhost"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "function_not_found")


async def test_a_rename_moves_the_host_and_leaves_running_calls_alone(platform):
    await platform.deploy("shop")
    await path_seen(platform, "shop.fn.localhost", "/")
    slow = asyncio.ensure_future(
        platform.client.get("/", headers={"Host": "shop.fn.localhost", "X-Simulated-Respond-Ms": "500"})
    )
    routes = platform.embedded.gateway.routes
    await platform.until(lambda: any(s.in_flight for s in routes.slots(routes.find("shop").id)))
    await platform.client.put("/api/functions/shop", json={"name": "store"})
    assert (await slow).status_code == 200
    assert await path_seen(platform, "store.fn.localhost", "/") == "/"
    old = await platform.client.get("/", headers={"Host": "shop.fn.localhost"})
    assert old.status_code == 404
