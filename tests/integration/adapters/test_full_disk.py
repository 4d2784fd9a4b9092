"""What stores do on a disk that is really full: a small file system of a child's own."""

import subprocess
import sys
import textwrap

import pytest

CODE = """
import asyncio, hashlib, os, sys
from pathlib import Path
from obstore.store import LocalStore, MemoryStore
from aether.adapters.objects.code_store import ObjectCodeStore
from aether.domain.errors import DiskFull
from aether.worker.code_cache import CodeCache

async def full(attempt):
    try:
        await attempt
    except DiskFull:
        return
    raise SystemExit("it was not full")

async def main(small, outside):
    image = outside / "image"
    image.write_bytes(os.urandom(6 << 20))
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    fits = outside / "fits"
    fits.write_bytes(b"code")
    fits_sha256 = hashlib.sha256(b"code").hexdigest()

    store = ObjectCodeStore(LocalStore(small / "objects", mkdir=True))
    await store.put("fn-1", fits_sha256, fits)
    await full(store.put("fn-1", sha256, image))
    names = {path.name for path in (small / "objects" / "fn-1").iterdir()}
    assert names == {f"{fits_sha256}.ext4", "code.ext4"}, names
    assert (small / "objects" / "fn-1" / "code.ext4").read_bytes() == b"code"
    await store.remove("fn-1")

    elsewhere = [ObjectCodeStore(LocalStore(outside / "objects", mkdir=True)), ObjectCodeStore(MemoryStore())]
    for store in elsewhere:
        await store.put("fn-1", sha256, image)
        await full(store.fetch("fn-1", sha256, small / "out"))
        assert [path.name for path in small.iterdir()] == ["objects"], list(small.iterdir())

    cache = CodeCache(store, small / "cache")
    first, second = await stored(store, outside, 3 << 20), await stored(store, outside, 3 << 20)
    await cache.image("fn-2", first, "inst-1")
    await full(cache.image("fn-2", second, "inst-2"))
    cache.release("inst-1")
    path = await cache.image("fn-2", second, "inst-3")
    assert [found.name for found in (small / "cache" / "fn-2").iterdir()] == [path.name]

async def stored(store, outside, size):
    content = os.urandom(size)
    (outside / "next").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    await store.put("fn-2", sha256, outside / "next")
    return sha256

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""

DATABASE = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.domain.errors import DiskFull
from aether.domain.function import Function, Version
from aether.domain.invocation import Invocation, InvocationStatus

async def main(small):
    now = datetime.now(UTC)
    database = await open_database(sqlite_url(small / "aether.db"))
    version = Version(1, "node", "handler.js", "", 1, 128, 3000, {})
    functions, log = SqlFunctionStore(database), SqlInvocationLog(database)
    await functions.create(Function("fn-1", "name", version, "", now, now))
    kept = 0
    for batch in range(1000):
        calls = [
            Invocation(f"call-{batch}-{number}", "fn-1", InvocationStatus.ERROR, 1, now, "x" * 5000)
            for number in range(20)
        ]
        try:
            await log.append(calls)
        except DiskFull:
            break
        kept += len(calls)
    else:
        raise SystemExit("it was never full")
    assert kept and len(await log.list("fn-1", 99_999)) == kept
    assert (await functions.get("name")).id == "fn-1"
    await database.close()
    database = await open_database(sqlite_url(small / "aether.db"))
    assert len(await SqlInvocationLog(database).list("fn-1", 99_999)) == kept
    await database.close()

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("script", [CODE, DATABASE], ids=["code", "database"])
def test_full_disk_is_told_and_leaves_nothing_half_written(tmp_path, script):
    small, outside = tmp_path / "small", tmp_path / "outside"
    small.mkdir()
    outside.mkdir()
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(script))
    inside = 'mount -t tmpfs -o size=4m tmpfs "$1" && exec "$2" "$3" "$1" "$4"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside, "sh"]
    result = subprocess.run(
        [*command, str(small), sys.executable, str(program), str(outside)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
