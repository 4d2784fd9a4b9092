"""What is changed at one gateway holds at the other, and nothing that both change is lost."""

import asyncio

import pytest

from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.domain.errors import FunctionNotFound, NameTaken
from aether.gateway.repair import ConfigRepair, OtherDatabase, require_same_database
from aether.ports.registry import config_key


async def in_registry(side, function_id):
    return (await side.registry.view()).entries.get(config_key(function_id))


async def test_change_at_one_is_seen_by_both(sides):
    one, other = sides
    function = await one.changes.create({"name": "hello", "runtime": "node"})
    await other.seen(lambda routes: routes.find("hello"))
    await other.changes.update("hello", {"name": "renamed", "timeout_s": 5})
    await one.seen(lambda routes: routes.find("renamed"))
    assert one.routes.find("hello") is None
    await one.changes.delete("renamed")
    await other.seen(lambda routes: routes.find(function.id) is None)


async def test_one_name_goes_to_one_gateway(sides):
    wanted = [side.changes.create({"name": "same", "runtime": "node"}) for side in sides * 4]
    results = await asyncio.gather(*wanted, return_exceptions=True)
    assert sum(isinstance(result, NameTaken) for result in results) == 7
    assert len(await sides[0].functions.list()) == 1


async def test_changes_of_the_same_function_at_both_are_all_there(sides):
    one, other = sides
    function = await one.changes.create({"name": "hello", "runtime": "node"})
    for number in range(1, 9):
        await asyncio.gather(
            one.changes.update("hello", {"max_waiting": number}),
            other.changes.update("hello", {"timeout_s": number}),
            one.changes.update("hello", {"memory_mb": 128 + number}),
            other.changes.update("hello", {"env_vars": {"N": str(number)}}),
        )
        row = await one.functions.get("hello")
        assert (row.limits.max_waiting, row.limits.timeout_s) == (number, number)
        assert (row.version.memory_mb, row.version.env_vars) == (128 + number, {"N": str(number)})
        assert await in_registry(one, function.id) == row.to_config()
        for side in sides:
            assert side.routes.find("hello") == row.to_config()
    assert row.version.revision == 1 + 2 * 8


async def test_function_that_is_deleted_at_one_does_not_come_back_through_the_other(sides):
    one, other = sides
    for number in range(8):
        function = await one.changes.create({"name": f"hello-{number}", "runtime": "node"})
        await other.seen(lambda routes, name=function.name: routes.find(name))

        async def change(name=function.name):
            for timeout_s in range(1, 20):
                await other.changes.update(name, {"timeout_s": timeout_s})

        other.good.seen_ready(function.to_config())
        results = await asyncio.gather(
            one.changes.delete(function.id), change(), other.repair.repair(), return_exceptions=True
        )
        assert results[0] is None
        assert isinstance(results[1], FunctionNotFound)
        await other.seen(lambda routes, name=function.name: routes.find(name) is None)
        await other.seen(lambda _: not other.good._seen)
        assert await in_registry(one, function.id) is None


async def test_gateway_with_another_database_is_refused_and_removes_nothing(sides, tmp_path):
    """As by a setting that was forgotten: its own database has none of the functions."""
    one, other = sides
    function = await one.changes.create({"name": "hello", "runtime": "node"})
    await other.seen(lambda routes: routes.find("hello"))
    database = await open_database(sqlite_url(tmp_path / "aether.db"))
    mistaken = SqlFunctionStore(database)
    with pytest.raises(OtherDatabase, match="another database") as told:
        await require_same_database(mistaken, one.registry)
    assert "AETHER_DATABASE_URL" in told.value.hint
    with pytest.raises(OtherDatabase):
        await ConfigRepair(mistaken, other.registry, other.routes.generations).repair()
    assert await in_registry(one, function.id) == function.to_config()
    await database.close()


async def test_lost_registry_gets_the_functions_back_and_no_call_misses_them(sides, etcd_server):
    one, other = sides
    for number in range(20):
        await one.changes.create({"name": f"hello-{number}", "runtime": "node"})
    await other.seen(lambda routes: len(list(routes.functions())) == 20)
    missed = []
    for side in sides:
        side.routes.on_change = lambda function_id, side=side: missed.extend(
            [function_id] if side.routes.find(function_id) is None else []
        )
    etcd_server.lose_everything()

    async def there():
        entries = (await one.registry.view()).entries
        return len(entries) == 20

    async with asyncio.timeout(10):
        while not await there():
            await asyncio.sleep(0.05)
    for side in sides:
        await side.seen(lambda routes: 0 not in routes.generations().values(), within_s=5)
    assert missed == []
