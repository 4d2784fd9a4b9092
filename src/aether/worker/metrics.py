"""What `/metrics` tells of a worker. Labels are few and fixed: functions have none here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aether.domain.job import JobReply

SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
PHASES = frozenset({"boot", "restore", "ready"})


@dataclass(frozen=True, slots=True)
class Now:
    """How things are at this moment: instances by state, and figures by name."""

    instances: Mapping[str, int]
    gauges: Mapping[str, tuple[str, float]]
    """Name to help and value."""


class WorkerMetrics:
    """Counters that instances feed, and gauges read when `/metrics` is."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._starts = Counter(
            "aether_worker_starts", "Starts of instances, by result", ("result",), registry=self.registry
        )
        self._phases = Histogram(
            "aether_worker_start_seconds",
            "What starts took, by phase",
            ("phase",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._adoptions = Counter(
            "aether_worker_adoptions",
            "Machines that an earlier process left: adopted, or ended",
            ("result",),
            registry=self.registry,
        )
        self._refused = Counter(
            "aether_worker_refused_requests",
            "Requests that proxies of instances refused before the function saw anything",
            ("why",),
            registry=self.registry,
        )

    def started(self, outcome: JobReply) -> None:
        """Or not, as the outcome says."""
        if outcome.instance_id is None:
            self._starts.labels("no_room" if outcome.capacity else "failed").inc()
            return
        self._starts.labels("ready").inc()
        for phase, took_ms in outcome.phases.items():
            if phase in PHASES:
                self._phases.labels(phase).observe(took_ms / 1000)

    def twin_ended(self) -> None:
        self._starts.labels("twin").inc()

    def adopted(self, *, ended: bool) -> None:
        self._adoptions.labels("ended" if ended else "adopted").inc()

    def refused(self, why: str) -> None:
        """`draining`, `full` or `key`."""
        self._refused.labels(why).inc()

    def count_dropped_lines(self, dropped: Callable[[], int]) -> None:
        """`dropped` tells how many there were so far."""
        self.registry.register(_DroppedLines(dropped))

    def show(self, now: Callable[[], Now]) -> None:
        """From here on gauges tell that as well."""
        self.registry.register(_Gauges(now))


class _Gauges(Collector):
    def __init__(self, now: Callable[[], Now]) -> None:
        self._now = now

    def collect(self) -> Iterable[Metric]:
        now = self._now()
        instances = GaugeMetricFamily("aether_worker_instances", "Instances here", labels=["state"])
        for state, count in now.instances.items():
            instances.add_metric([state], count)
        yield instances
        for name, (told, value) in now.gauges.items():
            yield GaugeMetricFamily(f"aether_worker_{name}", told, value=value)


class _DroppedLines(Collector):
    def __init__(self, dropped: Callable[[], int]) -> None:
        self._dropped = dropped

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "aether_worker_dropped_lines",
            "Lines that functions printed and that were not kept: too long, or the store was away",
            value=self._dropped(),
        )
