"""Where the time of a call went, drawn for people."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Iterator, Sequence

METRIC = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*((?:;[^,]*)?)")
DURATION = re.compile(r";\s*dur\s*=\s*\"?([0-9]+(?:\.[0-9]+)?)", re.IGNORECASE)
WIDTH = 40
BLOCK, PLAIN_BLOCK = "█", "#"

Phase = tuple[str, float]
"""A name and milliseconds."""


def server_timing(values: Iterable[str]) -> list[Phase]:
    """The phases of `Server-Timing` headers that have a duration, in order.

    Source: W3C Server Timing. Quoted descriptions with a comma in them are not ours, and not read.
    """
    found = []
    for value in values:
        for metric in value.split(","):
            named = METRIC.fullmatch(metric)
            duration = DURATION.search(named[2]) if named else None
            if named and duration:
                found.append((named[1], float(duration[1])))
    return found


def waterfall(phases: Sequence[Phase], *, encoding: str | None = None) -> Iterator[str]:
    """A line for each phase, its bar where its time was: each begins where the one before ended."""
    block = BLOCK if (encoding or "").lower().replace("-", "") == "utf8" else PLAIN_BLOCK
    whole = sum(duration for _, duration in phases)
    width = max((len(name) for name, _ in phases), default=0)
    past = 0.0
    for name, duration in phases:
        start = round(past / whole * WIDTH) if whole else 0
        past += duration
        end = round(past / whole * WIDTH) if whole else 0
        # Something is always to be seen, and nothing stands beyond the end.
        start = min(start, WIDTH - 1)
        bar = " " * start + block * max(1, end - start)
        yield f"{name.ljust(width)}  {duration:9.1f} ms  {bar}"


def summary(durations_ms: Sequence[float]) -> str:
    """Minimum, median, 95th percentile (nearest rank) and maximum, in milliseconds."""
    ordered = sorted(durations_ms)
    p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
    median = statistics.median(ordered)
    return f"min {ordered[0]:.1f}  median {median:.1f}  p95 {p95:.1f}  max {ordered[-1]:.1f} ms"
