"""The code store port over an object store."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from obstore.store import LocalStore, ObjectStore

from aether.adapters.objects.bucket import Bucket
from aether.adapters.objects.files import FileBucket
from aether.adapters.objects.partial import in_thread, sha256_of
from aether.adapters.objects.remote import RemoteBucket
from aether.domain.errors import AetherError
from aether.ports.code_store import CurrentCode

BUCKET = "function-code"
CURRENT = "code.ext4"

FUNCTION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
SHA256 = re.compile(r"[0-9a-f]{64}")


class ObjectCodeStore:
    """Implements `aether.ports.code_store.CodeStore`.

    Local files share their storage: with the image that was put, and with what was fetched.
    """

    def __init__(self, store: ObjectStore | Bucket, name: str = BUCKET) -> None:
        """`store` is rooted at the bucket, which is called `name`."""
        self._bucket = store if not isinstance(store, ObjectStore) else _bucket_of(store)
        self._name = name

    async def put(self, function_id: str, sha256: str, image: Path) -> str:
        key = _key(function_id, sha256)
        found = await in_thread(lambda: sha256_of(image))
        if found != sha256:
            raise ValueError(f"the image {image} has the sha256 {found}, not {sha256}")
        was_there = await self._exists(key)
        try:
            # In this order: however this ends, the current one is whole, the one before or this one.
            await self._bucket.put(key, image)
            await self._bucket.copy(key, f"{function_id}/{CURRENT}")
        except BaseException:
            if not was_there:
                with contextlib.suppress(AetherError):
                    await self._bucket.delete(function_id, [f"{sha256}.ext4"])
            raise
        return f"{self._name}/{function_id}/{CURRENT}"

    async def fetch(self, function_id: str, sha256: str, into: Path) -> None:
        key = _key(function_id, sha256)
        try:
            await self._bucket.fetch(key, into, sha256)
        except KeyError as missing:
            # Two gateways that put code at once may have taken each other's away; the last is current.
            try:
                await self._bucket.fetch(f"{function_id}/{CURRENT}", into, sha256)
            except (KeyError, ValueError):
                raise missing from None

    async def has(self, function_id: str, sha256: str) -> bool:
        return await self._exists(_key(function_id, sha256))

    async def keep_current(self, function_id: str, through: Path) -> str:
        current = await self.fetch_current(function_id, through)
        if not await self.has(function_id, current.sha256):
            await self._bucket.put(_key(function_id, current.sha256), through)
        return current.sha256

    async def current_tag(self, function_id: str) -> str:
        return await self._bucket.tag(f"{_folder(function_id)}/{CURRENT}")

    async def fetch_current(self, function_id: str, into: Path) -> CurrentCode:
        fetched = await self._bucket.fetch(f"{_folder(function_id)}/{CURRENT}", into)
        return CurrentCode(fetched.tag, fetched.sha256)

    async def keep_only(self, function_id: str, sha256s: set[str]) -> None:
        folder = _folder(function_id)
        kept = {CURRENT, *(f"{sha256}.ext4" for sha256 in sha256s)}
        await self._bucket.delete(folder, set(await self._bucket.names(folder)) - kept)

    async def remove(self, function_id: str) -> None:
        folder = _folder(function_id)
        await self._bucket.delete(folder, await self._bucket.names(folder))

    async def _exists(self, key: str) -> bool:
        try:
            await self._bucket.tag(key)
        except KeyError:
            return False
        return True


def _bucket_of(store: ObjectStore) -> Bucket:
    if isinstance(store, LocalStore) and store.prefix is not None:
        return FileBucket(Path(store.prefix))
    return RemoteBucket(store)


def _folder(function_id: str) -> str:
    """Raises ValueError for what would lead out of the bucket."""
    if not FUNCTION_ID.fullmatch(function_id):
        raise ValueError(f"not a function id: {function_id!r}")
    return function_id


def _key(function_id: str, sha256: str) -> str:
    if not SHA256.fullmatch(sha256):
        raise ValueError(f"not a sha256: {sha256!r}")
    return f"{_folder(function_id)}/{sha256}.ext4"
