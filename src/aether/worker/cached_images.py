"""What a worker has of code images: files, the order in which they were used, and who uses them."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

import structlog

from aether.domain.errors import InstanceFailed

log = structlog.get_logger()

FUNCTION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
SHA256 = re.compile(r"[0-9a-f]{64}")


class CachedImages:
    """Files `{directory}/{function_id}/{sha256}.ext4`, of `max_bytes` together at most.

    The least recently used go first, and never one that somebody uses: then there are more. A file's time of
    access is when it was used last, so that the order outlives the process.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._sizes: dict[Path, int] = {}
        """The least recently used first."""
        self._bytes = 0
        self._used: dict[str, Path] = {}
        """By whom."""
        self._users: Counter[Path] = Counter()
        self._of: dict[str, set[Path]] = {}
        """Those that are here or in use, by function."""
        self._unwanted: set[Path] = set()
        """In use still; then they go."""

    def load(self) -> None:
        """See what an earlier process left, whole images and none else; before anything else is called."""
        found = []
        for entry in self._directory.iterdir() if self._directory.is_dir() else ():
            if not entry.is_dir():
                _remove(entry)
                continue
            for file in entry.iterdir():
                if file.suffix == ".ext4":
                    status = file.stat()
                    found.append((status.st_atime_ns, file, status.st_size))
                elif file.name.startswith("."):  # of a write that a kill ended
                    _remove(file)
        # What is too much goes with the next image: until then those who use some can say so.
        self._sizes = {file: size for _, file, size in sorted(found)}
        self._bytes = sum(self._sizes.values())
        for image in self._sizes:
            self._note(image)

    def path(self, function_id: str, sha256: str) -> Path:
        """Raises InstanceFailed for what is no id or no sha256, and might lead elsewhere."""
        if not SHA256.fullmatch(sha256):
            raise InstanceFailed(f"not a sha256: {sha256[:80]!r}", component="worker")
        return self.folder(function_id) / f"{sha256}.ext4"

    def folder(self, function_id: str) -> Path:
        """Raises InstanceFailed as `path` does."""
        if not FUNCTION_ID.fullmatch(function_id):
            raise InstanceFailed(f"not a function id: {function_id[:80]!r}", component="worker")
        return self._directory / function_id

    def has(self, image: Path) -> bool:
        return image in self._sizes and image.is_file()

    def use(self, image: Path, by: str) -> None:
        """It stays, or what is fetched there will, until `by` releases it."""
        before = self._leave(by)
        if before is not None and before not in self._users:
            self._unwanted.discard(before)
        self._used[by] = image
        self._users[image] += 1
        self._note(image)
        self._unwanted.discard(image)
        self._touch(image)

    def used_by(self, who: str) -> Path | None:
        return self._used.get(who)

    def add(self, image: Path) -> None:
        """A file that is there now."""
        self._bytes -= self._sizes.pop(image, 0)
        self._sizes[image] = image.stat().st_size
        self._bytes += self._sizes[image]
        self._note(image)
        self.make_room()

    def lose(self, image: Path) -> None:
        """Its file is not what it should be."""
        self._drop(image)

    def release(self, by: str) -> None:
        image = self._leave(by)
        if image is None:
            return
        if image in self._unwanted and image not in self._users:
            self._drop(image)
        else:
            self._touch(image)
        self.make_room()

    def forget(self, function_id: str, keep: AbstractSet[str] = frozenset()) -> None:
        """Its images are wanted no more, but for those of `keep`; what is in use goes when it is released."""
        for image in [i for i in self._of.get(function_id, ()) if i.stem not in keep]:
            if image in self._users:
                self._unwanted.add(image)
            else:
                self._drop(image)

    def has_any(self, function_id: str) -> bool:
        """Whether an image of it is here or in use; never of what is no id."""
        return function_id in self._of

    def functions(self) -> Iterator[str]:
        return iter(list(self._of))

    def make_room(self) -> None:
        if self._bytes <= self._max_bytes:
            return
        for image in self._idle():
            self._drop(image)
            if self._bytes <= self._max_bytes:
                return

    def drop_idle(self) -> bool:
        """For a full disk: all that nobody uses. False if there was nothing."""
        idle = self._idle()
        for image in idle:
            self._drop(image)
        return bool(idle)

    def _idle(self) -> list[Path]:
        return [image for image in self._sizes if image not in self._users]

    def _leave(self, by: str) -> Path | None:
        image = self._used.pop(by, None)
        if image is not None:
            self._users[image] -= 1
            if not self._users[image]:
                del self._users[image]
                self._note(image)
        return image

    def _note(self, image: Path) -> None:
        function_id = image.parent.name
        if image in self._sizes or image in self._users:
            self._of.setdefault(function_id, set()).add(image)
        elif function_id in self._of:
            self._of[function_id].discard(image)
            if not self._of[function_id]:
                del self._of[function_id]

    def _touch(self, image: Path) -> None:
        """Used now. The time of change stays: the file may be the store's own as well."""
        size = self._sizes.pop(image, None)
        if size is None:
            return
        self._sizes[image] = size
        try:
            os.utime(image, ns=(time.time_ns(), image.stat().st_mtime_ns))
        except OSError as error:
            log.warning("use of a code image not noted", path=str(image), reason=str(error))

    def _drop(self, image: Path) -> None:
        self._bytes -= self._sizes.pop(image, 0)
        self._unwanted.discard(image)
        _remove(image)
        self._note(image)
        if image.parent.name not in self._of:
            shutil.rmtree(image.parent, ignore_errors=True)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # it takes room, no more
        log.warning("code image not removed", path=str(path), reason=str(error))
