"""Configurations in the registry follow the functions' rows, whatever came between."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aether.adapters.memory.registry import MemoryRegistry
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.domain.errors import FunctionNotFound, StoreUnavailable
from aether.domain.function import Function, FunctionConfig, Limits, Version
from aether.gateway.repair import ConfigRepair, bring

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def a_function(number=1, **changes):
    version = Version(1, "node", "handler.js", "ab" * 32, 1, 128, 3000, {})
    return replace(Function(f"fn-{number}", f"name-{number}", version, "", NOW, NOW), **changes)


class Registry(MemoryRegistry):
    """Counts what is put, and can be away."""

    def __init__(self):
        super().__init__()
        self.puts = 0
        self.away = False
        self.before_put = None

    async def put_function(self, config):
        if self.away:
            raise StoreUnavailable("the registry is away")
        self.puts += 1
        if self.before_put:
            await self.before_put(config)
        await super().put_function(config)

    def generations(self):
        return {f.id: f.generation for f in self.configs().values()}

    def configs(self):
        return {e.id: e for e in self._entries.values() if isinstance(e, FunctionConfig)}


@pytest.fixture
async def functions(tmp_path):
    database = await open_database(sqlite_url(tmp_path / "aether.db"))
    yield SqlFunctionStore(database)
    await database.close()


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def repair(functions, registry):
    return ConfigRepair(functions, registry, registry.generations)


async def test_empty_registry_gets_every_function(functions, registry, repair):
    for number in range(20):
        await functions.create(a_function(number))
    assert await repair.repair() == 20
    assert registry.configs() == {f.id: f.to_config() for f in await functions.list()}


async def test_what_is_right_is_not_written_again(functions, registry, repair):
    await functions.create(a_function())
    await repair.repair()
    assert await repair.repair() == 0
    assert registry.puts == 1


async def test_change_that_did_not_get_to_the_registry_gets_there(functions, registry, repair):
    await functions.create(a_function())
    await repair.repair()
    await functions.update(a_function(limits=Limits(max_instances=3)))
    assert await repair.repair() == 1
    assert registry.configs()["fn-1"].limits.max_instances == 3


async def test_entry_of_a_version_without_generations_is_replaced(functions, registry, repair):
    await functions.create(a_function())
    await registry.put_function(replace(a_function(name="old").to_config(), generation=0))
    await repair.repair()
    assert registry.configs()["fn-1"] == a_function().to_config()


async def test_configuration_without_a_row_goes(functions, registry, repair):
    await registry.put_function(a_function().to_config())
    assert await repair.repair() == 1
    assert registry.configs() == {}


async def test_row_that_was_not_listed_yet_keeps_its_configuration(functions, registry):
    """Made by another gateway between the list of rows and the look at the registry."""

    class Late(SqlFunctionStore):
        async def generations(self):
            listed = await super().generations()
            await self.create(a_function())
            return listed

    await registry.put_function(a_function().to_config())
    await ConfigRepair(Late(functions._database), registry, registry.generations).repair()
    assert registry.configs() == {"fn-1": a_function().to_config()}


async def test_function_that_is_deleted_while_it_is_repaired_does_not_come_back(functions, registry, repair):
    await functions.create(a_function())

    async def deleted_elsewhere(config):
        await functions.delete(config.id)
        await registry.remove_function(config.id)

    registry.before_put = deleted_elsewhere
    assert await repair.repair() == 1
    assert registry.configs() == {}


async def test_late_copy_of_a_row_changes_nothing(functions, registry):
    """A gateway that was stopped between reading and putting goes on later than another."""
    await functions.create(a_function())
    read, go_on = asyncio.Event(), asyncio.Event()

    async def stopped(config):
        if config.generation == 1:
            read.set()
            await go_on.wait()

    registry.before_put = stopped
    slow = asyncio.ensure_future(bring("fn-1", functions, registry))
    await read.wait()
    await functions.update(a_function(name="newer"))
    await bring("fn-1", functions, registry)
    go_on.set()
    await slow
    assert registry.configs()["fn-1"].name == "newer"


async def test_database_restored_from_a_backup_is_right_again(functions, registry, repair):
    """Its rows count less changes than the registry has seen."""
    await functions.create(a_function())
    await registry.put_function(replace(a_function(name="lost").to_config(), generation=7))
    await repair.repair()
    assert registry.configs()["fn-1"] == a_function(generation=8).to_config()
    assert (await functions.get("fn-1")).generation == 8
    assert await repair.repair() == 0


async def test_one_that_the_registry_lost_and_that_has_no_row_is_forgotten(functions, registry):
    forgotten = []
    known = {"fn-1": 0}
    await ConfigRepair(functions, registry, lambda: known, forgotten.append).repair()
    assert forgotten == ["fn-1"]


async def test_gone_function_is_told(functions, registry):
    await registry.put_function(a_function().to_config())
    with pytest.raises(FunctionNotFound):
        await bring("fn-1", functions, registry)
    assert registry.configs() == {}


async def test_many_gateways_repair_at_once(functions, registry):
    for number in range(20):
        await functions.create(a_function(number))
    await registry.put_function(a_function(99).to_config())
    await asyncio.gather(
        *(ConfigRepair(functions, registry, registry.generations).repair() for _ in range(5))
    )
    assert registry.configs() == {f.id: f.to_config() for f in await functions.list()}


async def test_repair_goes_on_when_a_store_is_back(functions, registry, repair, monkeypatch):
    monkeypatch.setattr("aether.gateway.repair.configs.RETRY_S", 0.01)
    await functions.create(a_function())
    registry.away = True
    running = asyncio.ensure_future(repair.run())
    try:
        await repair.tried.wait()
        assert registry.configs() == {}
        async with asyncio.timeout(5):

            async def there():
                revision = (await registry.view()).revision
                watch = registry.watch(revision)
                registry.away = False
                await anext(watch)
                await watch.aclose()

            await there()
            await functions.create(a_function(2))
            watch = registry.watch((await registry.view()).revision)
            repair.soon()
            assert (await anext(watch)).value.id == "fn-2"
            await watch.aclose()
    finally:
        running.cancel()
        await asyncio.wait([running])
