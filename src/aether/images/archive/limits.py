"""How much of an archive is accepted."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Of what comes out, not of the archive's own size, which the upload bounds."""

    total_bytes: int = 1024 * MIB
    entries: int = 100_000
    """Files, links and directories; a large node_modules has some 30,000."""
    path_bytes: int = 1024
    ratio: int = 200
    """Bytes out per byte of archive. Deflate can reach 1030; code and its assets stay under 20."""
    ratio_floor_bytes: int = 64 * MIB
    """No ratio is looked at below this: a small file of zeros is no bomb."""

    def ratio_allows(self, archive_bytes: int) -> int:
        """The most bytes that an archive of this size may become by `ratio` alone."""
        return max(self.ratio_floor_bytes, self.ratio * archive_bytes)
