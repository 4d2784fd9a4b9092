"""Code: at an S3 store, or in a directory that gateways and workers all see."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from obstore.store import LocalStore

from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.objects.errors import Refused
from aether.adapters.objects.s3 import S3Account, open_code_store
from aether.cli.settings import Settings
from aether.cli.stores.failing import StoreAway, StoreRefuses, Target, target
from aether.cli.stores.tls import authorities_of, speaks_tls
from aether.domain.errors import StoreUnavailable
from aether.ports.code_store import CodeStore


class Code:
    """`open` looks whether it does what we need; a second time just to look. Raises InvalidSettings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._account = _account(settings) if settings.code_dir is None else None

    @property
    def target(self) -> Target:
        if self._settings.code_dir is not None:
            return target(self._settings, "Code", "code_dir", str(self._settings.code_dir))
        return target(self._settings, "The S3 store", "minio_endpoint", self._settings.minio_endpoint)

    async def open(self) -> CodeStore:
        """Raises StoreAway, StoreRefuses."""
        if self._account is not None:
            return await _s3(self.target, self._account)
        assert self._settings.code_dir is not None
        return await _directory(self.target, self._settings.code_dir)


async def _s3(at: Target, account: S3Account) -> CodeStore:
    try:
        return await open_code_store(account)
    except Refused as refused:
        raise StoreRefuses(at, refused.message, hint=refused.hint) from None
    except StoreUnavailable as away:
        raise StoreAway(at, away.message) from None


def _account(settings: Settings) -> S3Account:
    secure = settings.minio_endpoint.startswith("https://")
    secure = speaks_tls(settings, "s3", "minio_endpoint", secure=secure)
    authorities = authorities_of(settings, "s3_ca") if secure else None
    return S3Account(
        endpoint=settings.minio_endpoint,
        access_key=settings.minio_access_key.get_secret_value(),
        secret_key=settings.minio_secret_key.get_secret_value(),
        bucket=settings.s3_bucket,
        region=settings.s3_region,
        ca_pem=None if authorities is None else authorities.read_text(),
    )


async def _directory(at: Target, path: Path) -> CodeStore:
    """It is not made here: a share that is not mounted would look like an empty store."""
    if not await asyncio.to_thread(path.exists):
        raise StoreAway(at, "there is no such directory")
    if not await asyncio.to_thread(os.access, path / ".", os.R_OK | os.W_OK | os.X_OK):
        raise StoreRefuses(at, "it is not a directory that this user may read and write")
    return ObjectCodeStore(LocalStore(path))
