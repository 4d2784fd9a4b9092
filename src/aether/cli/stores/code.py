"""Code: at an S3 store, or in a directory that gateways and workers all see."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from obstore.store import LocalStore

from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.objects.errors import Refused
from aether.adapters.objects.s3 import S3Account, open_code_store
from aether.cli.settings import Settings
from aether.cli.stores.failing import StoreAway, StoreRefuses, Target, ready, target
from aether.cli.stores.tls import authorities_of
from aether.domain.errors import StoreUnavailable
from aether.ports.code_store import CodeStore


@asynccontextmanager
async def open_code(settings: Settings, *, wait: bool) -> AsyncIterator[CodeStore]:
    """Looked at. Raises StoreFailed, InvalidSettings."""
    directory = settings.code_dir
    if directory is not None:
        yield await ready(lambda: _directory(settings, directory), wait=wait)
        return
    account = _account(settings)
    yield await ready(lambda: _s3(settings, account), wait=wait)


def s3_target(settings: Settings) -> Target:
    return target(settings, "The S3 store", "minio_endpoint", settings.minio_endpoint)


async def _s3(settings: Settings, account: S3Account) -> CodeStore:
    at = s3_target(settings)
    try:
        return await open_code_store(account)
    except Refused as refused:
        raise StoreRefuses(at, refused.message, hint=refused.hint) from None
    except StoreUnavailable as away:
        raise StoreAway(at, away.message) from None


def _account(settings: Settings) -> S3Account:
    authorities = authorities_of(settings, "s3_ca")
    return S3Account(
        endpoint=settings.minio_endpoint,
        access_key=settings.minio_access_key.get_secret_value(),
        secret_key=settings.minio_secret_key.get_secret_value(),
        bucket=settings.s3_bucket,
        region=settings.s3_region,
        ca_pem=None if authorities is None else authorities.read_text(),
    )


async def _directory(settings: Settings, path: Path) -> CodeStore:
    """It is not made here: a share that is not mounted would look like an empty store."""
    at = target(settings, "Code", "code_dir", str(path))
    if not await asyncio.to_thread(path.exists):
        raise StoreAway(at, "there is no such directory")
    if not await asyncio.to_thread(os.access, path / ".", os.R_OK | os.W_OK | os.X_OK):
        raise StoreRefuses(at, "it is not a directory that this user may read and write")
    return ObjectCodeStore(LocalStore(path))
