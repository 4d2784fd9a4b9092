"""On which workers code is likely to lie: where instances of it were seen. No wire shape tells it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from aether.domain.function import FunctionConfig
from aether.domain.instance import Instance

MOST_IMAGES = 10_000
MOST_WORKERS = 32
"""Of one image; who was seen first is forgotten first, here and in workers' caches."""


class Holders:
    """Worker ids by sha256 of a code image."""

    def __init__(self) -> None:
        self._by_sha256: dict[str, dict[str, None]] = {}

    def of(self, sha256: str) -> AbstractSet[str]:
        return self._by_sha256.get(sha256, {}).keys()

    def saw(self, function: FunctionConfig, instance: Instance) -> None:
        """Versions that are not known any more tell nothing."""
        for version in (function.version, function.good):
            if version is not None and version.revision == instance.revision:
                self._note(version.code_sha256, instance.worker_id)

    def _note(self, sha256: str, worker_id: str) -> None:
        workers = self._by_sha256.pop(sha256, {})
        workers.pop(worker_id, None)
        workers[worker_id] = None
        if len(workers) > MOST_WORKERS:
            del workers[next(iter(workers))]
        self._by_sha256[sha256] = workers
        if len(self._by_sha256) > MOST_IMAGES:
            del self._by_sha256[next(iter(self._by_sha256))]
