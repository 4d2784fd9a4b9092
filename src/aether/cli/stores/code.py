"""Code: a directory that gateways and workers all see."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from obstore.store import LocalStore

from aether.adapters.objects.code_store import ObjectCodeStore
from aether.cli.settings import Settings
from aether.cli.stores.failing import StoreAway, StoreRefuses, ready, target
from aether.ports.code_store import CodeStore


@asynccontextmanager
async def open_code(settings: Settings, *, wait: bool) -> AsyncIterator[CodeStore]:
    """Looked at. Raises StoreFailed, InvalidSettings."""
    assert settings.code_dir is not None
    yield await ready(lambda: _directory(settings, settings.code_dir or Path()), wait=wait)


async def _directory(settings: Settings, path: Path) -> CodeStore:
    """It is not made here: a share that is not mounted would look like an empty store."""
    at = target(settings, "Code", "code_dir", str(path))
    if not await asyncio.to_thread(path.exists):
        raise StoreAway(at, "there is no such directory")
    if not await asyncio.to_thread(os.access, path / ".", os.R_OK | os.W_OK | os.X_OK):
        raise StoreRefuses(at, "it is not a directory that this user may read and write")
    return ObjectCodeStore(LocalStore(path))
