"""Functions that are called in a rhythm, by timers say, and when the next call is due."""

from __future__ import annotations

REMEMBERED = 24
LONGEST_CYCLE = 8
"""Intervals after which they may repeat: several timers make a cycle of several intervals."""
SHORTEST_S = 60.0
"""Calls that come sooner need not be foretold: nothing is stopped for less."""
REGULAR_SHARE = 0.75
"""Of the intervals compared with those a cycle before, those that have to be near them."""
NEAR = 0.15
"""As a share of the interval."""
SLACK_S = 2.0
"""Added on both sides of what was seen: the controller looks once a second, and a start takes time."""
SLACK_OF_SPREAD = 0.35
"""Added too, as a share of the spread seen: a few intervals don't show all of it."""

Due = tuple[float, float, float]
"""Earliest and latest time at which the next call is expected, and how likely it comes then."""


class Rhythm:
    """The last intervals from call to call of one function."""

    __slots__ = ("_intervals", "_last_s", "next_call")

    def __init__(self) -> None:
        self._intervals: list[float] = []
        self._last_s: float | None = None
        self.next_call: Due | None = None
        """None without rhythm."""

    def called(self, at_s: float) -> None:
        if self._last_s is not None:
            self._intervals.append(at_s - self._last_s)
            del self._intervals[:-REMEMBERED]
        self._last_s = at_s
        self.next_call = self._due(at_s)

    def _due(self, last_s: float) -> Due | None:
        """By the shortest cycle in which the intervals repeat."""
        intervals = self._intervals
        for cycle in range(1, min(LONGEST_CYCLE, len(intervals) - 2) + 1):
            expected_s = intervals[-cycle]
            if expected_s < SHORTEST_S:
                continue
            off = [(a - b, b) for a, b in zip(intervals[cycle:], intervals, strict=False)]
            near = [d for d, b in off if -NEAR * b <= d <= NEAR * b]
            if len(near) >= _enough(cycle) and len(near) >= REGULAR_SHARE * len(off):
                low, high = min(near), max(near)
                slack_s = SLACK_S + SLACK_OF_SPREAD * (high - low)
                earliest_s, latest_s = last_s + expected_s + low, last_s + expected_s + high
                return earliest_s - slack_s, latest_s + slack_s, len(near) / len(off)
        return None


def _enough(cycle: int) -> int:
    """Intervals that have to be near: more for longer cycles, of which some fit by chance."""
    return max(2, min(cycle + 1, 4))
