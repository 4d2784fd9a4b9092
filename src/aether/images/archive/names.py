"""What names an archive's entries may have."""

from __future__ import annotations

import unicodedata

from aether.domain.errors import ArchiveRejected

_COMPONENT_BYTES = 255
"""What ext4 can name."""
_DEPTH = 100
"""Deeper trees are nobody's code, and whoever walks them holds a descriptor per level."""


def safe_parts(name: str, path_bytes: int) -> tuple[str, ...]:
    """`./a//b/` as `("a", "b")`; raises ArchiveRejected for a name that is not simply inside."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise ArchiveRejected(f"entry {name!r} has a name that is not UTF-8") from error
    if not name:
        raise ArchiveRejected("an entry has no name")
    if len(encoded) > path_bytes:
        raise ArchiveRejected(f"entry {name[:80]!r}… has a name longer than {path_bytes} bytes")
    if any(unicodedata.category(char) == "Cc" for char in name):
        raise ArchiveRejected(f"entry {name!r} has control characters in its name")
    if name.startswith("/"):
        raise ArchiveRejected(f"entry {name!r} has an absolute path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ArchiveRejected(f"entry {name!r} has '..' in its path")
    if any(len(part.encode()) > _COMPONENT_BYTES for part in parts):
        raise ArchiveRejected(f"entry {name[:80]!r}… has a part longer than {_COMPONENT_BYTES} bytes")
    if len(parts) > _DEPTH:
        raise ArchiveRejected(f"entry {name[:80]!r}… is more than {_DEPTH} directories deep")
    return parts


def inside_parts(base: tuple[str, ...], relative: str) -> tuple[str, ...] | None:
    """Where the text `relative` leads from `base`, or None if that is above the top."""
    parts = list(base)
    for part in relative.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


def folded(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Equal for paths that a file system without case, or one that normalizes, holds for one."""
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)
