"""A bucket that obstore reaches."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Iterable
from io import BufferedWriter
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from aether.adapters.objects.errors import raise_if_full, translated
from aether.adapters.objects.partial import CHUNK_BYTES, finish, in_thread, partial

PARTS_AT_ONCE = 4
"""Of CHUNK_BYTES each: what an upload holds in memory."""


class RemoteBucket:
    """Implements `aether.adapters.objects.bucket.Bucket`. Images go through in pieces."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, key: str, file: Path) -> None:
        with translated():
            await obstore.put_async(
                self._store, key, file, chunk_size=CHUNK_BYTES, max_concurrency=PARTS_AT_ONCE
            )

    async def copy(self, source: str, target: str) -> None:
        with translated():
            await obstore.copy_async(self._store, source, target)

    async def exists(self, key: str) -> bool:
        try:
            with translated():
                await obstore.head_async(self._store, key)
        except KeyError:
            return False
        return True

    async def fetch(self, key: str, sha256: str, into: Path) -> None:
        try:
            with partial(into) as unfinished:
                await self._download(key, sha256, unfinished)
                await in_thread(lambda: finish(unfinished, into))
        except OSError as error:
            raise_if_full(error, f"no room for {into}")
            raise

    async def _download(self, key: str, sha256: str, unfinished: Path) -> None:
        digest = hashlib.sha256()
        with translated():
            stream = (await obstore.get_async(self._store, key)).stream(CHUNK_BYTES)
        with unfinished.open("xb") as file:
            while True:
                with translated():
                    chunk = await anext(stream, None)
                if chunk is None:
                    break
                await in_thread(functools.partial(_write, file, digest, chunk))
        if digest.hexdigest() != sha256:
            raise ValueError(f"the stored {key} is damaged: its sha256 is {digest.hexdigest()}")

    async def names(self, folder: str) -> list[str]:
        with translated():
            objects = await obstore.list(self._store, folder).collect_async()
        return [str(found["path"]).removeprefix(f"{folder}/") for found in objects]

    async def delete(self, folder: str, names: Iterable[str]) -> None:
        for name in names:
            with contextlib.suppress(KeyError), translated():
                await obstore.delete_async(self._store, f"{folder}/{name}")


def _write(file: BufferedWriter, digest: hashlib._Hash, chunk: bytes) -> None:
    piece = memoryview(chunk)
    file.write(piece)
    digest.update(piece)
