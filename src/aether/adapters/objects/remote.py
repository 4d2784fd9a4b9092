"""A bucket that obstore reaches."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
from collections.abc import Iterable
from io import BufferedWriter
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from aether.adapters.objects.bucket import Fetched
from aether.adapters.objects.errors import raise_if_full, translated
from aether.adapters.objects.partial import finish, in_thread, partial
from aether.domain.errors import StoreUnavailable

PART_BYTES = 5 << 20
"""Of an upload. S3 takes 10,000 of at least that each. Source: the S3 API, "Multipart upload limits"."""
PARTS_AT_ONCE = 4
"""Of PART_BYTES each: what an upload holds in memory."""
PIECE_BYTES = 4 << 20
"""Of a download, in memory."""
MD5 = re.compile(r"[0-9a-f]{32}")
"""An ETag of this form is the MD5 of what was put in one piece. Source: the S3 API, "Object"."""


class RemoteBucket:
    """Implements `aether.adapters.objects.bucket.Bucket`. Images go through in pieces."""

    def __init__(self, store: ObjectStore, patient: ObjectStore | None = None) -> None:
        """`patient`: the same, with time for what the store has to write before it answers."""
        self._store = store
        self._patient = patient or store

    async def put(self, key: str, file: Path) -> None:
        try:
            with translated():
                await obstore.put_async(
                    self._patient, key, file, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
                )
        except KeyError as error:
            raise StoreUnavailable(f"the code store lost an upload: {error}") from error

    async def copy(self, source: str, target: str) -> None:
        with translated():
            await obstore.copy_async(self._patient, source, target)

    async def tag(self, key: str) -> str:
        with translated():
            return _tag((await obstore.head_async(self._store, key))["e_tag"])

    async def fetch(self, key: str, into: Path, sha256: str | None = None) -> Fetched:
        try:
            with partial(into) as unfinished:
                fetched = await self._download(key, sha256, unfinished)
                await in_thread(lambda: finish(unfinished, into))
                return fetched
        except OSError as error:
            raise_if_full(error, f"no room for {into}")
            raise

    async def _download(self, key: str, sha256: str | None, unfinished: Path) -> Fetched:
        with translated():
            answer = await obstore.get_async(self._store, key)
        tag = _tag(answer.meta["e_tag"])
        found = hashlib.sha256()
        md5 = hashlib.md5(usedforsecurity=False) if sha256 is None and MD5.fullmatch(tag) else None
        digests = [found] if md5 is None else [found, md5]
        stream = answer.stream(PIECE_BYTES)
        with unfinished.open("xb") as file:
            while True:
                with translated():
                    piece = await anext(stream, None)
                if piece is None:
                    break
                await in_thread(functools.partial(_write, file, digests, piece))
            size_bytes = file.tell()
        if sha256 is not None and found.hexdigest() != sha256:
            raise ValueError(f"the stored {key} is damaged: its sha256 is {found.hexdigest()}")
        if md5 is not None and md5.hexdigest() != tag:
            raise ValueError(f"the stored {key} is damaged: its ETag is {tag}, its MD5 {md5.hexdigest()}")
        if size_bytes != answer.meta["size"]:
            raise ValueError(f"{key} came with {size_bytes} bytes, not {answer.meta['size']}")
        return Fetched(tag, found.hexdigest())

    async def names(self, folder: str) -> list[str]:
        with translated():
            objects = await obstore.list(self._store, folder).collect_async()
        return [str(found["path"]).removeprefix(f"{folder}/") for found in objects]

    async def delete(self, folder: str, names: Iterable[str]) -> None:
        for name in names:
            with contextlib.suppress(KeyError), translated():
                await obstore.delete_async(self._store, f"{folder}/{name}")


def _tag(etag: str | None) -> str:
    return (etag or "").strip('"')


def _write(file: BufferedWriter, digests: list[hashlib._Hash], piece: bytes) -> None:
    view = memoryview(piece)
    file.write(view)
    for digest in digests:
        digest.update(view)
