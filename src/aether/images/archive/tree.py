"""The directory that an archive is unpacked into.

Entries come as bytes and names; only what this module has judged reaches the file system. It
never follows a link: every parent was made here as a directory, or the entry is refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from aether.domain.errors import ArchiveRejected, TooLarge
from aether.images.archive.limits import ArchiveLimits
from aether.images.archive.names import folded, inside_parts, safe_parts

EARLIEST_S = 315532800
"""1980-01-01, what a zip can say at the earliest; also the time of directories nobody mentions."""
_LATEST_S = 2**31 - 1
_LINK_TARGET_BYTES = 1023
"""Of a symbolic link; the same bound as for paths."""

Parts = tuple[str, ...]


class Tree:
    """Counts what it is given against `limits`, and remembers each path's kind."""

    def __init__(self, root: Path, limits: ArchiveLimits, archive_bytes: int) -> None:
        self.root = root
        self.file_count = 0
        self.unpacked_bytes = 0
        self.limits = limits
        self._ratio_bytes = limits.ratio_allows(archive_bytes)
        self._kinds: dict[Parts, str] = {(): "directory"}
        self._spelling: dict[Parts, Parts] = {(): ()}
        self._mtimes: dict[Parts, int] = {(): EARLIEST_S}
        self._entry = ""
        self._judged = 0

    def at(self) -> str:
        """` at 'entry'`, for messages about what was being unpacked."""
        return f" at {self._entry!r}" if self._entry else ""

    def top_level(self) -> list[str]:
        return sorted(parts[0] for parts in self._kinds if len(parts) == 1)

    def is_file(self, parts: Parts) -> bool:
        return self._kinds.get(parts) == "file"

    def add_directory(self, name: str, mtime_s: float) -> None:
        parts = self._judge(name)
        if self._kinds.get(parts) != "directory":
            self._make_directories(parts)
        if parts:
            self._mtimes[parts] = _clamped(mtime_s)

    def add_file(self, name: str, chunks: Iterable[bytes], *, executable: bool, mtime_s: float) -> None:
        """Write a new file. Of its mode only "may be executed" is kept: no setuid, no odd bits."""
        parts = self._claim(name, "file")
        path = self._path(parts)
        # The code drive belongs to root and the function is somebody else: all may read all of it.
        mode = 0o755 if executable else 0o644
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                self.count_bytes(len(chunk))
                file.write(chunk)
            os.fchmod(descriptor, mode)
        os.utime(path, (_clamped(mtime_s), _clamped(mtime_s)))

    def add_symlink(self, name: str, target: str, mtime_s: float) -> None:
        if not target or "\0" in target or len(os.fsencode(target)) > _LINK_TARGET_BYTES:
            raise ArchiveRejected(f"entry {name!r} is a link with an unusable target")
        parts = self._claim(name, "symlink")
        if target.startswith("/") or inside_parts(parts[:-1], target) is None:
            raise ArchiveRejected(f"entry {name!r} is a link that leaves the archive: {target!r}")
        path = self._path(parts)
        path.symlink_to(target)
        os.utime(path, (_clamped(mtime_s), _clamped(mtime_s)), follow_symlinks=False)

    def add_hard_link(self, name: str, target: str) -> None:
        """To a file that came earlier, by its name in the archive."""
        target_parts = safe_parts(target, self.limits.path_bytes)
        if not self.is_file(target_parts):
            raise ArchiveRejected(f"entry {name!r} is a hard link to no file of the archive: {target!r}")
        parts = self._claim(name, "file")
        os.link(self._path(target_parts), self._path(parts), follow_symlinks=False)

    def expect_bytes(self, size_bytes: int, name: str) -> None:
        """Refuse a declared size before anything of it is unpacked."""
        if self.unpacked_bytes + size_bytes > self.limits.total_bytes:
            raise TooLarge(f"entry {name!r} takes the archive over {self.limits.total_bytes} bytes unpacked")

    def count_bytes(self, size_bytes: int) -> None:
        self.unpacked_bytes += size_bytes
        if self.unpacked_bytes > self.limits.total_bytes:
            raise TooLarge(f"more than {self.limits.total_bytes} bytes unpacked{self.at()}")
        if self.unpacked_bytes > self._ratio_bytes:
            raise ArchiveRejected(
                f"unpacks to more than {self.limits.ratio} times its size{self.at()}: a decompression bomb"
            )

    def check_stream(self, stream_bytes: int) -> None:
        """Bound a tar stream: headers, padding and what is skipped count too."""
        allowed = self.limits.total_bytes + 2048 * self.limits.entries
        if stream_bytes > allowed:
            raise TooLarge(f"more than {allowed} bytes in the archive{self.at()}")
        if stream_bytes > self._ratio_bytes + 2048 * len(self._kinds):
            raise ArchiveRejected(f"unpacks to more than {self.limits.ratio} times its size{self.at()}")

    def finish(self) -> None:
        """Last checks that need the whole tree, then the directories' times."""
        self._entry = ""
        root = os.path.realpath(self.root)
        for parts, kind in self._kinds.items():
            # Links by way of other links: the text of each stays inside, their sum may not.
            if kind == "symlink":
                end = os.path.realpath(self._path(parts))
                if end != root and not end.startswith(root + os.sep):
                    raise ArchiveRejected(f"entry {'/'.join(parts)!r} is a link that leaves the archive")
        for parts in sorted(self._mtimes, key=len, reverse=True):
            os.utime(self._path(parts), (self._mtimes[parts], self._mtimes[parts]))

    def _judge(self, name: str) -> Parts:
        self._entry = name
        self._judged += 1
        if self._judged > self.limits.entries:
            raise TooLarge(f"more than {self.limits.entries} entries in the archive")
        return safe_parts(name, self.limits.path_bytes)

    def _claim(self, name: str, kind: str) -> Parts:
        """The parts of a new path whose parents are there now as real directories."""
        parts = self._judge(name)
        if not parts:
            raise ArchiveRejected(f"entry {name!r} names no file")
        self._make_directories(parts[:-1])
        self._remember(parts, kind)
        if kind == "file":
            self.file_count += 1
        return parts

    def _make_directories(self, parts: Parts) -> None:
        for end in range(1, len(parts) + 1):
            above = parts[:end]
            known = self._kinds.get(above)
            if known is None:
                self._remember(above, "directory")
                self._path(above).mkdir()
                self._path(above).chmod(stat.S_IRWXU | 0o055)
                self._mtimes[above] = EARLIEST_S
            elif known != "directory":
                raise ArchiveRejected(f"entry {self._entry!r} goes through {'/'.join(above)!r}, a {known}")

    def _remember(self, parts: Parts, kind: str) -> None:
        if len(self._kinds) > self.limits.entries:
            raise TooLarge(f"more than {self.limits.entries} entries in the archive")
        key = folded(parts)
        before = self._spelling.get(key)
        if before is not None:
            same = "is there twice" if before == parts else f"differs from {'/'.join(before)!r} only by case"
            raise ArchiveRejected(f"entry {'/'.join(parts)!r} {same}")
        self._spelling[key] = parts
        self._kinds[parts] = kind

    def _path(self, parts: Parts) -> Path:
        return self.root.joinpath(*parts)


def _clamped(mtime_s: float) -> int:
    """Whole seconds that a 32-bit inode time holds."""
    return int(min(max(mtime_s, 0), _LATEST_S))
