"""How the newest version of a function is doing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class RolloutStatus(StrEnum):
    PENDING = "pending"
    """No instance of it was ready yet, and none failed."""
    READY = "ready"
    CRASHING = "crashing"
    """It gets ready, and its instances end by themselves, one after the other; calls get 502 meanwhile."""
    FAILED = "failed"
    """It did not start; the last good version serves, where there is one."""


@dataclass(frozen=True, slots=True)
class Rollout:
    revision: int
    status: RolloutStatus
    reason: str | None = None
    console: str | None = None
    """The console's last lines, of a start that failed."""
    phases: Mapping[str, float] | None = None
    """Milliseconds of its first start that this gateway saw, by phase."""
