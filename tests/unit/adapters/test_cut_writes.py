"""A write that is cancelled in its middle keeps nobody else out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.domain.function import Function, Version

SOON_S = 5
"""Less than SQLite waits for another's lock."""


async def test_a_write_that_is_cancelled_gives_up_its_lock(tmp_path):
    url = sqlite_url(tmp_path / "aether.db")
    one, two = await open_database(url), await open_database(url)
    theirs, ours = SqlFunctionStore(one), SqlFunctionStore(two)
    version, now = Version(1, "node", "handler.js", "a" * 64, 1, 128, 3000, {}), datetime.now(UTC)
    await theirs.create(Function("fn-1", "x", version, "", now, now))
    for number in range(160):  # a write takes some milliseconds: it is cut at any step of it
        cut = asyncio.ensure_future(theirs.mark_good("fn-1", version))
        if number % 2:
            await asyncio.sleep(0.0001 * (number % 40))
        for _ in range(0 if number % 2 else number % 60):
            await asyncio.sleep(0)
        cut.cancel()
        # With what it raised, and so its frames and what they hold, kept.
        kept = await asyncio.gather(cut, return_exceptions=True)
        async with asyncio.timeout(SOON_S):
            await ours.mark_good("fn-1", version)
        del kept
    await one.close()
    await two.close()
