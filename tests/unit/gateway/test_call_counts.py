"""Counted calls are told as the client library's own counters and histograms would tell them."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram

from aether.gateway.call_counts import SECONDS, CallCounts

CALLS = st.lists(
    st.tuples(
        st.sampled_from(["fn-a", "fn-b", "other"]),
        st.sampled_from([0, 200, 404, 502]),
        st.sampled_from([*SECONDS, 0.0, 0.0011, 29.999, 30.001, 3600.0]),
    )
)


def samples(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


@given(CALLS)
def test_calls_are_told_as_the_client_library_would_tell_them(calls: list[tuple[str, int, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counts = CallCounts()
    ours.register(counts)
    ended = Counter("aether_requests", "…", ("function", "status"), registry=theirs)
    duration = Histogram(
        "aether_request_duration_seconds", "…", ("function",), buckets=SECONDS, registry=theirs
    )
    for function, status, seconds in calls:
        counts.add(function, status, seconds)
        ended.labels(function, str(status)).inc()
        duration.labels(function).observe(seconds)
    assert samples(ours) == samples(theirs)
