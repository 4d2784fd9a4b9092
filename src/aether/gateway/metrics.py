"""What `/metrics` tells of a gateway."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aether.domain.invocation import Invocation
from aether.gateway.activator import Activator
from aether.gateway.call_counts import SECONDS, CallCounts
from aether.gateway.routes import RouteTable

MAX_FUNCTIONS = 500
"""Labels are bounded: functions beyond that many are told together, as `other`."""


class GatewayMetrics:
    """Counters that the edge feeds, and gauges read when `/metrics` is."""

    def __init__(self, routes: RouteTable, activator: Activator) -> None:
        self.registry = CollectorRegistry()
        self._labels: dict[str, str] = {}
        self._calls = CallCounts()
        self.registry.register(self._calls)
        self.cold_starts = Histogram(
            "aether_cold_start_seconds",
            "What calls waited for an instance to start",
            ("function",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.retries = Counter(
            "aether_retries",
            "Calls that an instance may have seen and did not answer: sent again, or not for want of budget",
            ("function", "outcome"),
            registry=self.registry,
        )
        self.dropped_records = Counter(
            "aether_invocations_dropped",
            "Invocation records that did not fit the buffer",
            registry=self.registry,
        )
        self.registry.register(_Now(routes, activator))

    def observe(self, invocation: Invocation) -> None:
        function = self._labels.get(invocation.function_id) or self._label(invocation.function_id)
        self._calls.add(function, invocation.http_status or 0, invocation.duration_ms / 1000)
        if invocation.cold:
            self.cold_starts.labels(function).observe(sum(invocation.phases.values()) / 1000)

    def retried(self, function_id: str, *, allowed: bool) -> None:
        self.retries.labels(self._label(function_id), "sent" if allowed else "over_budget").inc()

    def _label(self, function_id: str) -> str:
        label = self._labels.get(function_id)
        if label is None:
            label = function_id if len(self._labels) < MAX_FUNCTIONS else "other"
            if label != "other":
                self._labels[function_id] = label
        return label


class _Now(Collector):
    def __init__(self, routes: RouteTable, activator: Activator) -> None:
        self._routes = routes
        self._activator = activator

    def collect(self) -> Iterable[Metric]:
        instances = GaugeMetricFamily("aether_instances", "Instances known here", labels=["status"])
        counts: Count[str] = Count()
        waiting = starting = running = 0
        for function in self._routes.functions():
            counts.update(i.status.value for i in self._routes.instances(function.id))
            waiting += self._activator.waiting(function.id)
            starting += self._activator.starting(function)
            running += sum(slot.in_flight for slot in self._routes.slots(function.id))
        for status in ("ready", "draining"):
            instances.add_metric([status], counts[status])
        instances.add_metric(["starting"], starting)
        yield instances
        yield GaugeMetricFamily(
            "aether_running_requests", "Calls at instances, of this gateway", value=running
        )
        yield GaugeMetricFamily("aether_waiting_requests", "Calls waiting for an instance", value=waiting)
        yield GaugeMetricFamily("aether_workers", "Workers known here", value=len(self._routes.workers))
