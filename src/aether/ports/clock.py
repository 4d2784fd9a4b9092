"""Time, so that policies and tests can have their own."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; what deadlines are on."""
        ...

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        ...
