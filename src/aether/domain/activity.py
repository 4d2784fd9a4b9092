"""How often a function is called and since when it idles, folded from what its instances count."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from aether.domain.worker import InstanceLoad

RATE_OVER_S = 300.0
"""What is as old counts a third: long enough to tell a busy function in a pause from a rare one."""


@dataclass(frozen=True, slots=True)
class Activity:
    """As of one look; all times on a clock that never goes back."""

    at_s: float
    calls: Mapping[str, int]
    """Calls so far by instance."""
    rate_per_s: float = 0.0
    """A mean that forgets."""
    busy: bool = False
    """A request runs or waits."""
    idle_since_s: float | None = None
    """When its last request ended; None while one runs, and before the first that was seen."""
    came: bool = False
    """A call came since the look before, and none was there then."""
    idle_ended_s: float | None = None
    """How long it had been idle when that came; None if nobody knows."""


def noted(
    before: Activity | None, now_s: float, loads: Mapping[str, InstanceLoad], *, waiting: bool
) -> Activity:
    """With one more look at the instances' own counts.

    At the very first look all that was counted before is old. An instance that came since then counts from
    its first call, and one that went takes the calls of its last second with it.
    """
    known = before or Activity(now_s, {name: load.calls for name, load in loads.items()})
    calls = {name: load.calls for name, load in loads.items()}
    new = sum(max(0, count - known.calls.get(name, 0)) for name, count in calls.items())
    busy = waiting or any(load.in_flight for load in loads.values())
    # An instance that was started ahead has been idle since its start, which is nobody's last request.
    idle_s = min((load.idle_s for load in loads.values() if load.calls), default=None)
    since_s = known.idle_since_s
    if busy:
        since_s = None
    elif idle_s is not None and (new or known.busy or before is None):
        since_s = now_s - idle_s
    elif known.busy:
        since_s = now_s
    came = (new > 0 or busy) and not known.busy and before is not None
    return Activity(
        at_s=now_s,
        calls=calls,
        rate_per_s=_rate(known.rate_per_s, new, now_s - known.at_s),
        busy=busy,
        idle_since_s=since_s,
        came=came,
        idle_ended_s=now_s - known.idle_since_s if came and known.idle_since_s is not None else None,
    )


def _rate(before: float, new: int, passed_s: float) -> float:
    if passed_s <= 0:
        return before
    kept = math.exp(-passed_s / RATE_OVER_S)
    return before * kept + new / passed_s * (1 - kept)
