"""A bucket of local files.

obstore's own local store would copy what can be linked, and, copying onto a link of the same
file, leaves a stray name behind.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from aether.adapters.objects.bucket import Fetched
from aether.adapters.objects.errors import raise_if_full, translated
from aether.adapters.objects.partial import in_thread, is_partial, place, remove, sha256_of


class FileBucket:
    """Implements `aether.adapters.objects.bucket.Bucket` under a directory, made when needed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._writing: dict[str, int] = {}
        """Folders with writes under way: their unfinished files are not leftovers."""

    async def put(self, key: str, file: Path) -> None:
        await self._place(file, key)

    async def copy(self, source: str, target: str) -> None:
        await self._place(self._root / source, target)

    async def tag(self, key: str) -> str:
        """Of the file, not of its bytes: whoever puts others there makes a new file."""
        with translated():
            return _tag((self._root / key).stat())

    async def fetch(self, key: str, into: Path, sha256: str | None = None) -> Fetched:
        stored = self._root / key
        while True:
            tag = await self.tag(key)
            with translated():
                found = await in_thread(lambda: sha256_of(stored))
            if sha256 is not None and found != sha256:
                raise ValueError(f"the stored {key} is damaged: its sha256 is {found}")
            try:
                await in_thread(lambda: place(stored, into))
            except OSError as error:
                raise_if_full(error, f"no room for {into}")
                raise
            if sha256 is not None or tag == await self.tag(key):
                return Fetched(tag, found)

    async def names(self, folder: str) -> list[str]:
        busy = folder in self._writing
        with translated():
            try:
                found = [path.name for path in (self._root / folder).iterdir()]
            except FileNotFoundError:
                return []
        return [name for name in found if not (busy and is_partial(name))]

    async def delete(self, folder: str, names: Iterable[str]) -> None:
        directory = self._root / folder
        paths = [directory / name for name in names]
        with translated():
            await in_thread(lambda: remove(paths))
            if folder not in self._writing:
                with contextlib.suppress(OSError):  # there are others in it, or it is gone
                    directory.rmdir()

    async def _place(self, source: Path, key: str) -> None:
        target = self._root / key
        folder = target.parent.name
        self._writing[folder] = self._writing.get(folder, 0) + 1
        try:
            with translated():
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                await in_thread(lambda: place(source, target))
        finally:
            self._writing[folder] -= 1
            if not self._writing[folder]:
                del self._writing[folder]


def _tag(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
