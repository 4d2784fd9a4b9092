"""Functions of another database are taken over: each once, and told what became of it."""

import asyncio
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.databases import emptied
from tests.seed_database import make

from aether.adapters.sql.adopt import adopt, opened
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.domain.errors import InvalidRequest
from aether.domain.function import Function, Limits, Version
from aether.domain.invocation import Invocation, InvocationStatus

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SEED = (
    {"id": "fn-a", "name": "hello", "code_path": "function-code/fn-a/code.ext4", "vcpu": 2},
    {"id": "fn-b", "name": "Hello World", "env_vars": '{"K": "v", "N": 1, "PORT": "80"}'},
    {"id": "fn-c", "name": "hello", "runtime": "nodejs18", "memory_mb": 32, "port": 99999},
    {"id": "fn-d", "name": "hello", "env_vars": "no json", "vcpu": None},
    {"id": "../e", "name": "outside"},
)


@pytest.fixture(params=["sqlite", "postgresql"])
async def target(request, tmp_path):
    if request.param == "postgresql":
        async with emptied(request.getfixturevalue("postgres_server")) as database:
            yield database
        return
    database = await open_database(sqlite_url(tmp_path / "target.db"))
    yield database
    await database.close()


async def taken(file, target):
    async with opened(file) as source:
        return await adopt(source, target)


def a_function(number=1, **changes):
    version = Version(1, "node", "handler.js", "ab" * 32, 1, 128, 3000, {"A": "1"})
    return replace(Function(f"fn-{number}", f"name-{number}", version, "", NOW, NOW), **changes)


async def test_database_of_the_system_before_is_taken_over(tmp_path, target):
    file = make(tmp_path / "seed.db", *SEED, calls=2500)
    before = file.read_bytes()
    told, calls = await taken(file, target)
    assert file.read_bytes() == before
    assert [(f.id, f.name, f.outcome, f.was_named) for f in told] == [
        ("fn-a", "hello", "taken", ""),
        ("fn-b", "Hello World", "taken", ""),
        ("fn-c", "hello-2", "taken", "hello"),
        ("fn-d", "hello-3", "taken", "hello"),
        ("../e", "outside", "left out", ""),
    ]
    assert told[0].runs == "code.ext4, whatever that is"
    assert told[1].changes == ["env_vars lost PORT"]
    assert told[2].changes == ["runtime nodejs18 is node", "memory_mb 32 is 64", "port 99999 is 65535"]
    functions = SqlFunctionStore(target)
    hello = await functions.get("hello")
    assert hello.version == Version(1, "node", "handler.js", "", 2, 128, 3000, {})
    assert hello.to_config().has_code(hello.version)
    assert hello.created_at == datetime(2025, 3, 1, 10, 0, 0, 123456, tzinfo=UTC)
    assert (await functions.get("Hello World")).version.env_vars == {"K": "v", "N": "1"}
    assert not (await functions.get("fn-d")).to_config().has_code(hello.version)
    assert calls == 2500
    assert len(await SqlInvocationLog(target).list("fn-a", 9999)) == 2500


async def test_second_time_takes_only_what_is_new(tmp_path, target):
    file = make(tmp_path / "seed.db", *SEED[:2], calls=3)
    await taken(file, target)
    functions = SqlFunctionStore(target)
    await functions.update(replace(await functions.get("fn-a"), name="renamed"))
    with sqlite3.connect(file) as raw:
        raw.execute("INSERT INTO functions (id, name, runtime) VALUES ('fn-new', 'hello', 'node')")
        raw.execute("INSERT INTO invocations VALUES ('new', 'fn-b', 'odd', 1.5, '2025-03-06 10:00:00', NULL)")
    raw.close()
    told, calls = await taken(file, target)
    assert [(f.id, f.name, f.outcome) for f in told] == [
        ("fn-a", "renamed", "there already"),
        ("fn-b", "Hello World", "there already"),
        ("fn-new", "hello", "taken"),
    ]
    assert calls == 1
    assert [call.status for call in await SqlInvocationLog(target).list("fn-b", 9)] == [
        InvocationStatus.ERROR
    ]


async def test_names_that_are_taken_there_get_a_number(tmp_path, target):
    functions = SqlFunctionStore(target)
    long = "a" * 63
    for number, name in enumerate(("hello", "hello-2", long)):
        await functions.create(a_function(number, name=name))
    file = make(tmp_path / "seed.db", {"id": "fn-a", "name": "hello"}, {"id": "fn-b", "name": long})
    told, _ = await taken(file, target)
    assert [(f.name, f.was_named) for f in told] == [("hello-3", "hello"), ("a" * 61 + "-2", long)]


async def test_database_of_our_own_moves_with_all_it_has(tmp_path, target):
    file = tmp_path / "own.db"
    own = await open_database(sqlite_url(file))
    function = a_function(
        limits=Limits(max_instances=3), domains=("a.example.com",), generation=7, good=a_function().version
    )
    await SqlFunctionStore(own).create(function)
    other = a_function(2, domains=("b.example.com",))
    await SqlFunctionStore(own).create(other)
    call = Invocation("call-1", "fn-1", InvocationStatus.SUCCESS, 12, NOW, phases={"fn": 1.5}, cold=True)
    await SqlInvocationLog(own).append([call])
    await SqlFunctionStore(target).create(a_function(3, domains=("b.example.com",)))
    told, calls = await taken(file, target)  # while it is open still
    await own.close()
    assert await SqlFunctionStore(target).get("fn-1") == function
    assert await SqlInvocationLog(target).list("fn-1", 9) == [call]
    assert (await SqlFunctionStore(target).get("fn-2")) == replace(other, domains=())
    assert [f.outcome for f in told] == ["taken", "taken"]
    assert "b.example.com" in told[1].changes[0]
    assert calls == 1


async def test_two_at_once_take_each_function_once(tmp_path, target):
    file = make(tmp_path / "seed.db", *({"id": f"fn-{n}", "name": "same"} for n in range(8)), calls=5)
    results = await asyncio.gather(*(taken(file, target) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [tuple, tuple], results
    functions = await SqlFunctionStore(target).list()
    assert len(functions) == 8
    assert len({function.name for function in functions}) == 8


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no file"), (b"no" * 5000, "no SQLite database"), (b"", "no functions")],
)
async def test_file_that_is_no_such_database_is_told(tmp_path, content, message):
    file = tmp_path / "what?.db"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidRequest, match=message):
        async with opened(file):
            pass
