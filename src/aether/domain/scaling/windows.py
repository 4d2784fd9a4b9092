"""What scaling remembers from look to look, against flapping.

Two windows, as in Knative's autoscaler (https://knative.dev/docs/serving/autoscaling/kpa-specific/):
the stable one, as long as an instance may idle, decides what may go: never what its maximum needs. The
panic window, the last few seconds, tells a load far over what is there: for a stable window from then on,
load is met at once rather than by one instance a second. Nothing that idles goes meanwhile, since the
stable window's maximum is that load.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PANIC_WINDOW_S = 3.0
PANIC_AT = 2.0
"""Times the target, at every look of the panic window. Source: Knative's threshold of 200 %."""


@dataclass(frozen=True, slots=True)
class Look:
    at_s: float
    load: int
    """Requests that instances ran."""
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """Looks on a clock that never goes back, oldest first, and when panic is over."""

    looks: tuple[Look, ...] = ()
    panic_until_s: float = -math.inf

    def peak(self) -> int:
        """Most requests at a time, running or waiting, within the stable window."""
        return max((look.load + look.waiting for look in self.looks), default=0)

    def sustained(self, now_s: float) -> int:
        """The load that was there all through the panic window; 0 as long as it has not been watched."""
        since_s = now_s - PANIC_WINDOW_S
        if not self.looks or self.looks[0].at_s > since_s:
            return 0
        return min(look.load for look in self.looks if look.at_s >= since_s)

    def panics(self, now_s: float) -> bool:
        return now_s < self.panic_until_s


def seen(before: History, look: Look, capacity: int, stable_s: float) -> History:
    """With one more look; `capacity` is how many requests those there and on their way are meant for."""
    since_s = look.at_s - max(stable_s, PANIC_WINDOW_S)
    looks = (*(old for old in before.looks if old.at_s >= since_s), look)
    history = History(looks, before.panic_until_s)
    if capacity and history.sustained(look.at_s) >= PANIC_AT * capacity:
        return History(looks, look.at_s + stable_s)
    return history
