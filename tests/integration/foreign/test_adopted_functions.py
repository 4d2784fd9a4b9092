"""Functions of a database that was taken over run the code that lies there, whatever its sha256 is."""

from tests.integration.foreign.test_foreign_gateway import instances
from tests.seed_database import make

from aether.adapters.sql.adopt import adopt, opened
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.ports.vmm import ignore_log

SEED = (
    {
        "id": "fn-a",
        "name": "Hello World",
        "code_path": "function-code/fn-a/code.ext4",
        "env_vars": '{"A":"1"}',
    },
    {"id": "fn-b", "name": "no-code"},
)


async def adopted(tmp_path):
    database = await open_database(sqlite_url(tmp_path / "adopted.db"))
    try:
        async with opened(make(tmp_path / "seed.db", *SEED)) as source:
            await adopt(source, database)
        return await SqlFunctionStore(database).list()
    finally:
        await database.close()


async def test_function_that_was_taken_over_serves_its_code(ours, tmp_path):
    await ours.code("fn-a", foreign=True)
    client = await ours.gateway(*await adopted(tmp_path))
    await ours.worker()
    answer = await client.get("/functions/fn-a/x")  # by its id: its name is no label
    assert answer.status_code == 200, answer.text
    assert answer.json()["env"]["A"] == "1"
    [found] = await instances(ours, "fn-a")
    machine = await ours.workers["wrk-ours"]._host.vmm.adopt(found["instance_id"], ignore_log)
    assert machine.spec.code.read_bytes() == (ours.folder / "store" / "fn-a" / "code.ext4").read_bytes()


async def test_function_without_code_says_so(ours, tmp_path):
    client = await ours.gateway(*await adopted(tmp_path))
    await ours.worker()
    answer = await client.get("/functions/fn-b/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_code")
