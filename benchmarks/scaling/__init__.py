"""A day of traffic over a thousand functions, replayed in simulated time under each keep-alive policy."""

from benchmarks.scaling.suite import RUNS, measure

__all__ = ["RUNS", "measure"]
