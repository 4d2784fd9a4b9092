"""Noting good versions while functions change and go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.unit.gateway.conftest import version

from aether.adapters.memory.registry import MemoryRegistry
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.domain.function import Function
from aether.gateway.good_versions import GoodVersions
from aether.ports.registry import config_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Interrupted(SqlFunctionStore):
    """Lets something happen once between a row's reading and its use."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def get(self, id_or_name: str) -> Function:
        function = await super().get(id_or_name)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return function


@pytest.fixture
async def store(tmp_path):
    database = await open_database(sqlite_url(tmp_path / "aether.db"))
    store = Interrupted(database)
    await store.create(Function("fn-1", "hello", version(1), "", NOW, NOW))
    yield store
    await database.close()


async def noted(
    store: Interrupted, registry: MemoryRegistry, meanwhile: Callable[[], Awaitable[None]]
) -> None:
    """Version 1 is seen ready, and something happens while that is written down."""
    config = (await store.get("fn-1")).to_config()
    await registry.put_function(config)
    happened = asyncio.Event()

    async def first() -> None:
        await meanwhile()
        happened.set()

    store.meanwhile = first
    good = GoodVersions(store, registry)
    run = asyncio.ensure_future(good.run())
    good.seen_ready(config)
    async with asyncio.timeout(5):
        await happened.wait()
        while good._seen:
            await asyncio.sleep(0)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_an_upload_meanwhile_is_not_undone(store):
    registry = MemoryRegistry()

    async def upload() -> None:
        stored = await SqlFunctionStore.get(store, "fn-1")
        await store.update(replace(stored, version=version(2)))
        await registry.put_function(replace(stored, version=version(2)).to_config())

    await noted(store, registry, upload)
    config = (await registry.view()).entries[config_key("fn-1")]
    assert config.version.revision == 2
    assert config.good.revision == 1


async def test_a_function_removed_meanwhile_does_not_come_back(store):
    registry = MemoryRegistry()

    async def remove() -> None:
        await store.delete("fn-1")
        await registry.remove_function("fn-1")

    await noted(store, registry, remove)
    assert (await registry.view()).entries == {}
