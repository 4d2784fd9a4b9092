"""What every node does: log errors only, and leave a profile where `AETHER_BENCH_PROFILE` says."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import structlog

EVERY_S = 0.001
"""Of CPU time."""


def quiet() -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@contextmanager
def profiled(name: str) -> Iterator[None]:
    """Samples of the stack to `{name}-{pid}.stacks` in that folder: frames, outermost first, and how often.

    A tracing profiler would make calls look dear and C cheap.
    """
    folder = os.environ.get("AETHER_BENCH_PROFILE")
    if not folder:
        yield
        return
    stacks: Counter[str] = Counter()

    def sample(_signal: int, frame: FrameType | None) -> None:
        names = []
        while frame is not None:
            code = frame.f_code
            names.append(f"{Path(code.co_filename).name}:{code.co_name}")
            frame = frame.f_back
        stacks[";".join(reversed(names))] += 1

    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    lines = [f"{stack} {count}" for stack, count in stacks.most_common()]
    (Path(folder) / f"{name}-{os.getpid()}.stacks").write_text("\n".join(lines))
