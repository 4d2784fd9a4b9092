"""When a function without requests has an instance on, and what that means to the scaling rule."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aether.domain.function import Limits
from aether.domain.scaling import Keep

Window = tuple[float, float]
"""From, up to; seconds since the function's last request ended."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The times of its idleness in which a function has one instance on, ascending and apart."""

    windows: tuple[Window, ...]

    @classmethod
    def keep(cls, seconds: float) -> Plan:
        """On for so long after the last request, off from then."""
        return cls(((0.0, seconds),))

    @property
    def kept_s(self) -> float:
        """How long the instance that served the last request stays."""
        return self.windows[0][1] if self.windows and self.windows[0][0] <= 0 else 0.0

    def is_on(self, idle_s: float) -> bool:
        return any(start <= idle_s < end for start, end in self.windows)

    def next_change_s(self, idle_s: float) -> float:
        """The first time after `idle_s` at which it goes on or off; infinite when there is none."""
        return next((edge for window in self.windows for edge in window if edge > idle_s), math.inf)

    def on_s(self, idle_s: float) -> float:
        """Seconds on during the first `idle_s`."""
        return sum(min(end, idle_s) - start for start, end in self.windows if start < idle_s)

    def at(self, limits: Limits, idle_s: float) -> Keep:
        """For the scaling rule: one instance is to be there, or none, after so long without a request.

        Instances beyond the last are the rule's own business.
        """
        if self.is_on(idle_s):
            return Keep(limits.instance_idle_timeout_s, math.inf, ahead=1)
        return Keep(limits.instance_idle_timeout_s, 0.0)
