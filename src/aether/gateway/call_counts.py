"""Calls by function and outcome, and how long they took.

Counted here and told when `/metrics` is read: the client library's own counters and histograms, with a lock
for each of three values, take several times as long, with every call.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper bounds of the histograms' buckets, each with its bound."""
_BOUNDS = [str(float(bound)) for bound in SECONDS] + ["+Inf"]


class CallCounts(Collector):
    """Fed and read in one thread, or with the interpreter's lock between the two."""

    def __init__(self) -> None:
        self._ended: Counter[tuple[str, int]] = Counter()
        self._within: dict[str, list[int]] = {}
        """How many calls each bucket alone has, by function."""
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, function: str, status: int, seconds: float) -> None:
        self._ended[function, status] += 1
        within = self._within.get(function)
        if within is None:
            within = self._within[function] = [0] * len(_BOUNDS)
        within[bisect_left(SECONDS, seconds)] += 1
        self._seconds[function] += seconds

    def collect(self) -> Iterable[Metric]:
        ended = CounterMetricFamily(
            "aether_requests", "Calls ended, by outcome", labels=["function", "status"]
        )
        for (function, status), count in self._ended.items():
            ended.add_metric([function, str(status)], count)
        yield ended
        duration = HistogramMetricFamily(
            "aether_request_duration_seconds",
            "Calls, from first byte in to last byte out",
            labels=["function"],
        )
        for function, within in self._within.items():
            buckets = list(zip(_BOUNDS, accumulate(within), strict=True))
            duration.add_metric([function], buckets, self._seconds[function])
        yield duration
