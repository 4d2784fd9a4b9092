"""Code images on this host, fetched when an instance needs one."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from aether.domain.errors import StoreUnavailable
from aether.domain.job import ProvisionJob
from aether.ports.code_store import CodeStore, CurrentCode
from aether.worker import current_code
from aether.worker.cached_images import CachedImages
from aether.worker.code_fetch import fetched, missing

log = structlog.get_logger()

MB = 1_000_000
MAX_BYTES = 10_000 * MB


class CodeCache:
    """One fetch at a time per image, whoever asks; what an instance uses stays until it is released.

    An image gets its name when all of it is on the disk and was verified. What an earlier process left is
    verified once more when it is used first: that costs a reading, and a disk may have lost something.
    """

    def __init__(self, store: CodeStore, directory: Path, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._images = CachedImages(directory, max_bytes)
        self._verified: set[Path] = set()
        self._turns: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        self._foreign: dict[str, str] = {}
        """Instances that run a function's current code, whatever that is: their functions."""

    def sweep(self) -> None:
        """Remove what a killed process left of fetches, and see what else it left; before all others."""
        self._images.load()

    async def image(self, function_id: str, sha256: str, instance_id: str) -> Path:
        """The file of an image, in use by this instance from now on. Without a sha256, of the current code.

        Raises InstanceFailed when the store has no such image or a damaged one, StoreUnavailable, DiskFull;
        then nothing is in use.
        """
        try:
            if sha256:
                return await self._known(function_id, sha256, instance_id)
            self._foreign[instance_id] = function_id
            return await self._current(function_id, instance_id)
        except BaseException:
            self.release(instance_id)
            raise

    def adopt(self, job: ProvisionJob, instance_id: str, image: Path) -> None:
        """An instance that an earlier process started uses the image."""
        self._images.use(image, instance_id)
        if not job.code_sha256:
            self._foreign[instance_id] = job.function_id

    def release(self, instance_id: str) -> None:
        self._foreign.pop(instance_id, None)
        self._images.release(instance_id)

    def forget(self, function_id: str) -> None:
        """The function was removed: its images go when no instance uses them."""
        self._images.forget(function_id)

    def keep_versions(self, function_id: str, sha256s: set[str]) -> None:
        """Others of the function's go, also when there is room: no gateway asks for them again.

        '' stands for its current code.
        """
        if not self._images.has_any(function_id):
            return
        if "" in sha256s:
            noted = current_code.read(self._images.folder(function_id))
            sha256s = sha256s | {noted.sha256} if noted is not None else sha256s
        self._images.forget(function_id, keep=sha256s)

    def keep_functions(self, function_ids: Iterable[str]) -> None:
        """Forget all others, but those whose current code was fetched: foreign gateways know of them."""
        for function_id in set(self._images.functions()) - set(function_ids):
            if current_code.read(self._images.folder(function_id)) is None:
                self._images.forget(function_id)

    def foreign(self) -> dict[str, list[str]]:
        """Instances that run a function's current code, by function."""
        found: dict[str, list[str]] = {}
        for instance_id, function_id in self._foreign.items():
            found.setdefault(function_id, []).append(instance_id)
        return found

    async def outdated(self, function_id: str) -> list[str]:
        """Of `foreign`, those that run what isn't the current code now, which is then here.

        All of them when there is no code any more. Raises as `image` does.
        """
        try:
            tag = await self._store.current_tag(function_id)
        except KeyError:
            self._images.forget(function_id)
            return self.foreign().get(function_id, [])
        looking = f"looking at {function_id}"
        try:
            current = await self._current(function_id, looking, tag)
        finally:
            self._images.release(looking)
        ids = self.foreign().get(function_id, [])
        return [i for i in ids if self._images.used_by(i) not in (None, current)]

    async def _known(self, function_id: str, sha256: str, by: str) -> Path:
        image = self._images.path(function_id, sha256)
        async with self._turn(image):
            if not await self._holds(image, by):
                await fetched(
                    self._images, sha256[:12], image, lambda: self._store.fetch(function_id, sha256, image)
                )
                self._verified.add(image)
                self._images.add(image)
        return image

    async def _current(self, function_id: str, by: str, tag: str | None = None) -> Path:
        """By its tag alone, if that is what it was when it was fetched, or nobody can say what it is now."""
        folder = self._images.folder(function_id)
        async with self._turn(folder):
            noted = current_code.read(folder)
            try:
                tag = tag or await self._store.current_tag(function_id)
            except KeyError:
                raise missing(f"of {function_id}") from None
            except StoreUnavailable as error:
                if noted is None:
                    raise
                log.warning("code taken as it was", function=function_id, reason=error.message)
                tag = noted.tag
            if noted is not None and noted.tag == tag:
                image = self._images.path(function_id, noted.sha256)
                if await self._holds(image, by):
                    return image
            coming = folder / ".coming"
            self._images.use(coming, by)
            found = await fetched(
                self._images,
                f"of {function_id}",
                coming,
                lambda: self._store.fetch_current(function_id, coming),
            )
            return self._take(function_id, found, coming, by)

    def _take(self, function_id: str, found: CurrentCode, file: Path, by: str) -> Path:
        image = self._images.path(function_id, found.sha256)
        file.replace(image)
        with suppress(OSError):  # without it, it is fetched again
            current_code.write(image.parent, found)
        self._verified.add(image)
        self._images.use(image, by)
        self._images.add(image)
        self._images.forget(function_id, keep={found.sha256})
        return image

    async def _holds(self, image: Path, by: str) -> bool:
        """Whether it is here and what its name says; in any case it is in use from now on."""
        self._images.use(image, by)
        if not self._images.has(image):
            return False
        if image not in self._verified:
            if await asyncio.to_thread(_sha256_of, image) != image.stem:
                log.warning("code image damaged on disk, fetching it again", path=str(image))
                self._images.lose(image)
                return False
            self._verified.add(image)
        return True

    def _turn(self, key: Path) -> asyncio.Lock:
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = asyncio.Lock()
        return turn


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
