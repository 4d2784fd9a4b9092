"""What operators are told of a cluster: by any gateway, also while a store is away."""

from __future__ import annotations

import json

import pytest
from tests.api import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_any_gateway_tells_of_gateways_workers_stores_and_who_scales(cluster):
    for api in cluster.api:

        async def elected(api=api) -> bool:
            return (await api.get("/api/status"))["controller"] is not None

        await until(elected, 10, "somebody scales")
    told = [await api.get("/api/status") for api in cluster.api]
    assert told[0]["controller"] == told[1]["controller"]
    for status in told:
        assert len(status["gateways"]) == 2
        assert [gateway["leads"] for gateway in status["gateways"]].count(True) == 1
        assert status["controller"] in {gateway["id"] for gateway in status["gateways"]}
        assert (status["workers"], status["unreachable"], status["stale"]) == (3, [], False)
        assert {store["name"]: store["ok"] for store in status["stores"]} == dict.fromkeys(
            ("etcd", "Redis", "The S3 store", "PostgreSQL"), True
        )
    secrets = (cluster.stores.redis.password, cluster.stores.postgres.password, cluster.stores.s3.secret_key)
    assert not any(secret in json.dumps(told) for secret in secrets)


@pytest.mark.parametrize(
    ("server", "name"),
    [("etcd", "etcd"), ("redis", "Redis"), ("s3", "The S3 store"), ("postgres", "PostgreSQL")],
)
async def test_a_store_that_stands_still_is_told_and_the_rest_goes_on(cluster, server, name):
    api = cluster.api[0]
    store = getattr(cluster.stores, server)
    store.pause()
    try:
        status = await api.get("/api/status")
    finally:
        store.resume()
    stores = {store["name"]: store for store in status["stores"]}
    assert [found for found, store in stores.items() if not store["ok"]] == [name]
    assert stores[name]["reason"]
    assert status["stale"] is (server == "etcd")
    assert (status["workers"], len(status["gateways"])) == (3, 2)

    async def well() -> bool:
        return all(store["ok"] for store in (await api.get("/api/status"))["stores"])

    await until(well, 10, "it answers again")


async def test_status_is_a_table_for_people(cluster):
    said = await cluster.aether("status")
    for heading in ("STORE", "GATEWAY", "WORKER"):
        assert f"\n{heading}" in said
    assert "postgresql://aether:****@" in said
    assert cluster.stores.redis.password not in said
