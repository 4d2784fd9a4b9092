"""The hybrid histogram policy of "Serverless in the Wild" (Shahrad et al., ATC'20, section 4).

Per function a histogram of idle times, one bin a minute, over four hours. The instance goes at once
after a request, comes back at the 5th percentile less 10 %, and stays until the 99th plus 10 %. A 5th
percentile in the first minute means that it never goes. While the histogram is not representative
(the bins' coefficient of variation is below 2: too little seen, or no pattern) the instance stays
for the histogram's whole range. Where most idle times are beyond the range, the paper forecasts the
next one by ARIMA and has the instance on from 15 % before until 15 % after it; the forecast here is
the mean of the last of them, which is what ARIMA falls back to on the few values there are of such
functions.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from aether.domain.keep_alive.plan import Plan
from aether.domain.keep_alive.rules import SEED_KEEP_S

BIN_S = 60.0
BINS = 240
HEAD, TAIL = 0.05, 0.99
MARGIN = 0.10
FORECAST_MARGIN = 0.15
REPRESENTATIVE_CV = 2.0
MOSTLY_BEYOND = 0.5
FORECAST_FROM = 10
"""Idle times beyond the range that the forecast is made of."""

STANDARD = Plan.keep(BINS * BIN_S)
LOOK_AGAIN = 50
"""With n idle times seen, the percentiles are taken anew after n / 50 more: they hardly move before."""


@dataclass(slots=True)
class _Seen:
    bins: list[int] = field(default_factory=lambda: [0] * BINS)
    within: int = 0
    squares: int = 0
    """Sum of the bins' squares, which gives their variance."""
    beyond: int = 0
    last_beyond: deque[float] = field(default_factory=lambda: deque(maxlen=FORECAST_FROM))
    plan: Plan = STANDARD
    look_in: int = 0

    def add(self, idle_s: float) -> None:
        index = int(idle_s / BIN_S)
        if index < BINS:
            count = self.bins[index]
            self.bins[index] = count + 1
            self.squares += 2 * count + 1
            self.within += 1
        else:
            self.beyond += 1
            self.last_beyond.append(idle_s)
        self.look_in -= 1
        if self.look_in <= 0:
            self.plan = self._planned()
            self.look_in = (self.within + self.beyond) // LOOK_AGAIN

    def _planned(self) -> Plan:
        if self.beyond > MOSTLY_BEYOND * (self.within + self.beyond):
            forecast_s = sum(self.last_beyond) / len(self.last_beyond)
            return Plan(((forecast_s * (1 - FORECAST_MARGIN), forecast_s * (1 + FORECAST_MARGIN)),))
        if self._cv() < REPRESENTATIVE_CV:
            return STANDARD
        from_s = self._percentile(HEAD) * BIN_S * (1 - MARGIN)
        to_s = (self._percentile(TAIL) + 1) * BIN_S * (1 + MARGIN)
        return Plan(((from_s, to_s),))

    def _cv(self) -> float:
        mean = self.within / BINS
        return math.sqrt(max(0.0, self.squares / BINS - mean * mean)) / mean if mean else 0.0

    def _percentile(self, share: float) -> int:
        """The bin that it falls into."""
        wanted, below = share * self.within, 0
        for index, count in enumerate(self.bins):
            below += count
            if count and below >= wanted:
                return index
        return BINS - 1


class HybridHistogram:
    """The policy for any number of functions; some two kilobytes each."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def called(
        self,
        function_id: str,
        idle_s: float | None,
        at_s: float,  # noqa: ARG002 - only how long counts
        fixed_keep_s: float = SEED_KEEP_S,  # noqa: ARG002 - the paper compares with nothing
    ) -> None:
        if idle_s is not None:
            self._seen.setdefault(function_id, _Seen()).add(idle_s)

    def plan(self, function_id: str, idle_since_s: float) -> Plan:  # noqa: ARG002 - plans are relative
        seen = self._seen.get(function_id)
        return seen.plan if seen is not None else STANDARD

    def review(self, now_s: float) -> None:
        """Nothing to weigh: each function is on its own."""

    def forget(self, function_id: str) -> None:
        self._seen.pop(function_id, None)
