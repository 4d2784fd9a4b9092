"""What a worker has heard of functions."""

from __future__ import annotations

from collections.abc import Iterator

from aether.domain.function import FunctionConfig, Limits
from aether.domain.job import ProvisionJob

DEFAULT_LIMITS = Limits()
MAX_REMOVED = 10_000
"""Removed functions that are remembered: as many as may have jobs in a queue still."""


class KnownFunctions:
    """Kept current by the registry's watch."""

    def __init__(self) -> None:
        self._configs: dict[str, FunctionConfig] = {}
        self._removed: dict[str, None] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._configs)

    def __contains__(self, function_id: object) -> bool:
        return function_id in self._configs

    def __len__(self) -> int:
        return len(self._configs)

    def learn(self, config: FunctionConfig) -> None:
        self._configs[config.id] = config
        self._removed.pop(config.id, None)

    def forget(self, function_id: str) -> None:
        """It was removed: jobs of it that come yet start nothing."""
        self._configs.pop(function_id, None)
        self._removed[function_id] = None
        while len(self._removed) > MAX_REMOVED:
            del self._removed[next(iter(self._removed))]

    def was_removed(self, function_id: str) -> bool:
        return function_id in self._removed

    def limits(self, function_id: str) -> Limits:
        """As they are now; the defaults for a function that only a foreign gateway knows."""
        config = self._configs.get(function_id)
        return config.limits if config is not None else DEFAULT_LIMITS

    def outdated(self, job: ProvisionJob) -> bool:
        """Whether a start of it serves nobody any more: neither the newest version nor the good one."""
        function = self._configs.get(job.function_id)
        if function is None or not job.revision or job.revision >= function.version.revision:
            return False
        return function.good is None or job.revision != function.good.revision

    def superseded(self, job: ProvisionJob) -> bool:
        """Whether there is a newer version than that of the job."""
        function = self._configs.get(job.function_id)
        return function is not None and 0 < job.revision < function.version.revision

    def images(self, function_id: str) -> set[str]:
        """Of the code that a start may still ask for: of its current and its good version."""
        function = self._configs[function_id]
        versions = (function.version, *([function.good] if function.good is not None else []))
        return {version.code_sha256 for version in versions}
