"""What a function's idle times tell: when the next call is likely enough to be worth waiting for.

The chance of a call in the next second of idleness (the hazard) is estimated in intervals that grow by half
an octave: calls that came in the interval, over the seconds that the function was idle in it. Older idle
times count less. An instance is worth having on where that is above a price, in calls a second.
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

from aether.domain.keep_alive.plan import Plan

INTERVALS = 29
EDGES_S = tuple(2.0 ** (n / 2) - 1.0 for n in range(INTERVALS + 1))
"""From 0 to LONGEST_S: 0.4, 1, 1.8, 3 … 16383."""
LONGEST_S = 14_400.0
"""No instance is on for longer without a request."""
FORGET = 1.0 / 500
"""Share of its weight that an idle time loses with every one that follows. Hundreds count, since those
between bursts of fifty calls are two in a hundred."""
_RENORMALISE_AT = 1e6

PRIOR_WEIGHT = 1.5
"""Idle times that a function is taken to have had before its first: of any length, short ones likelier."""
PRIOR_SLOPE = 0.3
"""Of them, a share of t**-PRIOR_SLOPE is longer than t seconds."""


def _prior() -> list[float]:
    beyond = [min(1.0, edge**-PRIOR_SLOPE) if edge else 1.0 for edge in EDGES_S]
    return [PRIOR_WEIGHT * (a - b) for a, b in pairwise(beyond)]


class IdleTimes:
    """Those of one function."""

    __slots__ = ("_beyond", "_calls", "_ended", "_inside_s", "_weight", "seen")

    def __init__(self) -> None:
        prior = _prior()
        self._ended = prior
        """Weight of the idle times that ended in each interval."""
        self._calls = list(prior)
        """Of those, what ended by a call that only these figures can foretell."""
        self._inside_s = [share * (b - a) / 2 for share, (a, b) in zip(prior, pairwise(EDGES_S), strict=True)]
        """Of those, the weighted seconds that they spent in it."""
        self._beyond = PRIOR_WEIGHT - sum(prior)
        self._weight = 1.0
        self.seen = 0

    def add(self, idle_s: float, *, foretold: bool = False) -> None:
        """One more idle time; `foretold` when another way of telling saw its end coming."""
        self.seen += 1
        self._weight *= 1 + FORGET
        index = int(2 * math.log2(idle_s + 1.0)) if idle_s > 0 else 0
        if index >= INTERVALS:
            self._beyond += self._weight
        else:
            self._ended[index] += self._weight
            if not foretold:
                self._calls[index] += self._weight
            self._inside_s[index] += self._weight * (idle_s - EDGES_S[index])
        if self._weight > _RENORMALISE_AT:
            self._renormalise()

    def _renormalise(self) -> None:
        by = 1.0 / self._weight
        self._ended = [x * by for x in self._ended]
        self._calls = [x * by for x in self._calls]
        self._inside_s = [x * by for x in self._inside_s]
        self._beyond *= by
        self._weight = 1.0

    def plan(self, price: float, least_off_s: float) -> Plan:
        """On where it pays, off where it doesn't for `least_off_s` or longer.

        Exact for the estimate: gain of each interval is its calls less price times idle seconds, and coming
        back costs every idle time that gets there `least_off_s`. Worked out from the last to the first.
        """
        survivors = list(accumulate(reversed(self._ended), initial=self._beyond))
        on_is_better: list[bool] = []
        stays: list[bool] = []
        on = off = 0.0
        for index in range(INTERVALS - 1, -1, -1):
            width = EDGES_S[index + 1] - EDGES_S[index]
            beyond = survivors[INTERVALS - 1 - index]
            gain = self._calls[index] - price * (self._inside_s[index] + beyond * width)
            back = on - price * least_off_s * beyond
            stays.append(on > off)
            on_is_better.append(back > off)
            on, off = gain + max(on, off), max(off, back)
        return _windows(stays[::-1], on_is_better[::-1])


def _windows(stays: list[bool], returns: list[bool]) -> Plan:
    """On in the first interval; then as decided at the end of each."""
    windows: list[tuple[float, float]] = []
    since: float | None = 0.0
    for index in range(INTERVALS):
        edge = min(EDGES_S[index + 1], LONGEST_S)
        if since is not None and (not stays[index] or index == INTERVALS - 1):
            windows.append((since, edge))
            since = None
        elif since is None and returns[index] and edge < LONGEST_S:
            since = edge
    return Plan(tuple(windows))
