"""Code images on this host, by sha256, fetched when an instance needs one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from aether.domain.errors import InstanceFailed
from aether.ports.code_store import CodeStore

log = structlog.get_logger()


class CodeCache:
    """Files `{directory}/{sha256}.ext4`. One fetch at a time per image, whoever asks."""

    def __init__(self, store: CodeStore, directory: Path) -> None:
        self._store = store
        self._directory = directory
        self._locks: dict[str, asyncio.Lock] = {}

    def sweep(self) -> None:
        """Remove what a killed process left of a fetch; before the first `image`."""
        for path in self._directory.glob(".*.partial"):
            path.unlink()

    async def image(self, function_id: str, sha256: str) -> Path:
        """The image's file, verified when it was fetched.

        Raises InstanceFailed when the store has no such image or a damaged one,
        StoreUnavailable, DiskFull.
        """
        path = self._directory / f"{sha256}.ext4"
        async with self._locks.setdefault(sha256, asyncio.Lock()):
            if not path.exists():
                self._directory.mkdir(parents=True, exist_ok=True)
                await self._fetch(function_id, sha256, path)
        return path

    async def _fetch(self, function_id: str, sha256: str, path: Path) -> None:
        try:
            await self._store.fetch(function_id, sha256, path)
        except KeyError:
            raise InstanceFailed(
                f"the code image {sha256[:12]} is not in the code store",
                hint="deploy again",
                component="worker",
            ) from None
        except ValueError as error:
            raise InstanceFailed(
                f"the code image {sha256[:12]} is damaged: {error}", hint="deploy again", component="worker"
            ) from error

    def keep_only(self, sha256s: set[str]) -> None:
        """Remove images that no function's current or good version names."""
        for path in self._directory.glob("*.ext4"):
            if path.stem in sha256s:
                continue
            try:
                path.unlink(missing_ok=True)
            except OSError as error:  # it takes room, no more
                log.warning("code image not removed", path=str(path), reason=str(error))
            else:
                self._locks.pop(path.stem, None)
