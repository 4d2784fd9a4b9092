"""What this gateway knows of how newest versions are doing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aether.domain.function import FunctionConfig
from aether.domain.rollout import Rollout, RolloutStatus


@dataclass(frozen=True, slots=True)
class _Failed:
    revision: int
    reason: str
    console_tail: str


class Rollouts:
    """By function id; a new revision starts afresh."""

    def __init__(self) -> None:
        self._failed: dict[str, _Failed] = {}
        self._again: set[str] = set()
        """Failed ones that are being started once more, by wish."""
        self._ready: dict[str, int] = {}
        """Revisions that were ready when they were the newest: nothing that fails later takes that back."""
        self._phases: dict[str, tuple[int, Mapping[str, float]]] = {}
        self._serves: dict[str, int] = {}
        """Revisions that took over when they were the newest."""

    def of(self, function: FunctionConfig) -> Rollout:
        revision = function.version.revision
        failed = self._failure(function)
        if failed is not None and function.id not in self._again:
            return Rollout(revision, RolloutStatus.FAILED, failed.reason, failed.console_tail or None)
        if function.good is not None and function.good.revision == revision:
            phases_of, phases = self._phases.get(function.id, (0, None))
            return Rollout(revision, RolloutStatus.READY, phases=phases if phases_of == revision else None)
        reason = None if function.has_code(function.version) else "it has no code yet"
        return Rollout(revision, RolloutStatus.PENDING, reason)

    def is_broken(self, function: FunctionConfig) -> bool:
        """Whether the newest version never got ready: until it does, or changes, the last good one serves."""
        return function.good is not None and self._failure(function) is not None

    def is_pending(self, function: FunctionConfig) -> bool:
        """Whether there is a good version before the newest, of which nothing has come yet."""
        revision = function.version.revision
        if function.good is None or function.good.revision >= revision:
            return False
        return self._serves.get(function.id) != revision and self._failure(function) is None

    def tried_again(self, function_id: str) -> None:
        """Somebody wants to know anew; until it is decided, what serves goes on serving."""
        if function_id in self._failed:
            self._again.add(function_id)

    def failed(self, function: FunctionConfig, revision: int, reason: str, console_tail: str) -> None:
        """A start failed, whoever asked for it. It says nothing of versions that were ready, or are outdated.

        Of several the last is told, but none without a console in the place of one with it.
        """
        good = function.good.revision if function.good is not None else 0
        if good < revision == function.version.revision and self._ready.get(function.id) != revision:
            self._again.discard(function.id)
            known = self._failure(function)
            if known is None or console_tail or not known.console_tail:
                self._failed[function.id] = _Failed(revision, reason, console_tail)

    def started(self, function_id: str, revision: int, phases: Mapping[str, float]) -> None:
        """A start has worked, and took so many milliseconds."""
        known, _ = self._phases.get(function_id, (0, None))
        if known != revision:
            self._phases[function_id] = revision, phases

    def ready(self, function: FunctionConfig) -> None:
        """An instance of the newest version is there."""
        self.takes_over(function)
        self._ready[function.id] = function.version.revision
        self._failed.pop(function.id, None)
        self._again.discard(function.id)

    def takes_over(self, function: FunctionConfig) -> None:
        """The newest serves from now on, ready or not."""
        self._serves[function.id] = function.version.revision

    def forget(self, function_id: str) -> None:
        self._failed.pop(function_id, None)
        self._again.discard(function_id)
        self._ready.pop(function_id, None)
        self._phases.pop(function_id, None)
        self._serves.pop(function_id, None)

    @property
    def again(self) -> Collection[str]:
        """Ids of functions whose newest version failed and is being started once more, by wish."""
        return self._again

    def _failure(self, function: FunctionConfig) -> _Failed | None:
        failed = self._failed.get(function.id)
        return failed if failed is not None and failed.revision == function.version.revision else None
