"""The runtimes of a cluster, as far as a gateway sees them: those that workers say they have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from aether.domain.worker import Worker
from aether.images.catalog import DEFAULT_ENTRYPOINT, NODE
from aether.ports.vmm import Runtime


class SeenRuntimes(Mapping[str, Runtime]):
    """Ours is there before any worker is, so that functions can be made meanwhile."""

    def __init__(self, workers: Mapping[str, Worker]) -> None:
        """`workers` as they are then, by id."""
        self._workers = workers

    def __getitem__(self, name: str) -> Runtime:
        if name == NODE.name:
            return NODE
        if name not in self._names():
            raise KeyError(name)
        return Runtime(name, Path(), (), DEFAULT_ENTRYPOINT)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names()))

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> set[str]:
        return {NODE.name, *(name for worker in self._workers.values() for name in worker.runtimes)}
