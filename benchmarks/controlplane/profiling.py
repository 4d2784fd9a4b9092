"""What every node does: log warnings only, and leave a profile where `AETHER_BENCH_PROFILE` says."""

from __future__ import annotations

import cProfile
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog


def quiet() -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@contextmanager
def profiled(name: str) -> Iterator[None]:
    """To `{name}-{pid}.prof` in that folder. A profile slows everything down: for where, not for how much."""
    folder = os.environ.get("AETHER_BENCH_PROFILE")
    if not folder:
        yield
        return
    with cProfile.Profile(time.thread_time) as profile:
        yield
    profile.dump_stats(Path(folder) / f"{name}-{os.getpid()}.prof")
