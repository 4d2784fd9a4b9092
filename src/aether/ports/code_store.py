"""Where code images are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CurrentCode:
    """What was fetched as a function's current code: `current_tag` as it was then, and its sha256 (hex)."""

    tag: str
    sha256: str


class CodeStore(Protocol):
    """Content-addressed: `{function_id}/{sha256}.ext4`, with `{function_id}/code.ext4` the current one.

    Raises StoreUnavailable when the store is away, DiskFull when it has no room. The files at `image`
    and `into` may share their storage with the store: nobody writes to them any more.
    """

    async def put(self, function_id: str, sha256: str, image: Path) -> str:
        """Store an image under its sha256 and as the current one; whole or not at all.

        Returns the code path, `function-code/{function_id}/code.ext4`. Raises ValueError when the
        image does not match the sha256.
        """
        ...

    async def fetch(self, function_id: str, sha256: str, into: Path) -> None:
        """Write the image to `into`, whole and verified, or raise KeyError if there is none.

        Raises ValueError when the stored bytes do not match the sha256; `into` is then untouched.
        """
        ...

    async def has(self, function_id: str, sha256: str) -> bool:
        """Whether the image is there; its bytes are not looked at."""
        ...

    async def keep_current(self, function_id: str, through: Path) -> str:
        """Store `code.ext4` under its sha256 as well, and return that. Raises KeyError if there is none.

        `through` is a file that is made, for it to pass through; the caller removes it.
        """
        ...

    async def current_tag(self, function_id: str) -> str:
        """Tells `code.ext4`, whoever put it, from what it was before. Raises KeyError if there is none.

        With the same tag the bytes are the same; with another they may be. On S3 it is the ETag.
        """
        ...

    async def fetch_current(self, function_id: str, into: Path) -> CurrentCode:
        """Write `code.ext4` to `into`, for code that no sha256 is known of; whole, as far as can be told.

        Checked by length, and by MD5 where the store has that. Raises KeyError if there is none, and
        ValueError when it is damaged or came cut; `into` is then untouched.
        """
        ...

    async def keep_only(self, function_id: str, sha256s: set[str]) -> None:
        """Remove other versions; `code.ext4` stays."""
        ...

    async def remove(self, function_id: str) -> None:
        """All versions. Idempotent."""
        ...
