"""How `aether up` is asked to end, from its first moment to its last."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from aether.cli.failures import ExitCode
from aether.cli.output import say

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def clean_start() -> Iterator[None]:
    """Before there is a loop: SIGTERM ends the command as if it were done, and what it holds is let go.

    Python's own answer to SIGINT does so too.
    """

    def asked(_number: int, _frame: FrameType | None) -> None:
        say("Stopped before it was up.")
        raise SystemExit(ExitCode.OK)

    before = signal.signal(signal.SIGTERM, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_on_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """The second one doesn't wait for what runs, and all is cleaned up; the third just ends the process."""
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if hurry.is_set():
            os._exit(ExitCode.INTERRUPTED)
        if stop.is_set():
            say("Not waiting any longer.")
            hurry.set()
        else:
            say("Stopping: running requests may end first. Once more to not wait for them.")
            stop.set()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, asked)
