"""Code images on the worker: fetched on need, and gone when nothing can ask for them."""

from __future__ import annotations

from tests.integration.platform.conftest import archive


def cached(platform) -> set[str]:
    return {path.stem for path in (platform.data_dir / "code-cache").glob("*/*.ext4")}


async def test_code_that_no_version_names_leaves_the_workers_cache(platform):
    await platform.deploy("hello")
    await platform.client.get("/functions/hello")
    (first,) = cached(platform)
    second = (await platform.upload("hello", archive(handler_js="// two"))).json()["sha256"]
    assert first != second
    await platform.client.get("/functions/hello")
    await platform.until(lambda: cached(platform) == {second})


async def test_a_deleted_functions_code_leaves_the_workers_cache(platform):
    await platform.deploy("hello")
    await platform.client.get("/functions/hello")
    assert cached(platform)
    await platform.client.delete("/api/functions/hello")
    await platform.until(lambda: not platform.embedded.gateway.routes.instances("hello"))
    await platform.client.post("/api/functions", json={"name": "other", "runtime": "node"})
    await platform.until(lambda: cached(platform) == set())
