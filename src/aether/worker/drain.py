"""How long an instance that is to go may still take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aether.ports.clock import Clock

STOP_GRACE_S = 3.0
"""From SIGTERM on, for an instance that has no requests any more."""


class Drain:
    """Whoever asks gives a limit; the sooner one counts, also when it comes late."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked = asyncio.Event()
        self.leaves_machine = False
        """Only its requests end: the machine is for the worker's next process."""
        self._until_s = float("inf")
        self._end_s = float("inf")
        self._timeout: asyncio.Timeout | None = None

    def begin(self, within_s: float, grace_s: float = 0.0) -> None:
        """Ask for it, or ask for more haste: requests have `within_s`, the function `grace_s` more."""
        until_s = self._clock.monotonic() + within_s
        self._until_s = min(self._until_s, until_s)
        self._end_s = min(self._end_s, until_s + grace_s)
        self.asked.set()
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time() + self.remaining_s())

    def leave(self, within_s: float) -> None:
        """The same, and the machine stays, unless it was to go before."""
        self.leaves_machine = self.leaves_machine or not self.asked.is_set()
        self.begin(within_s)

    def remaining_s(self) -> float:
        return max(0.0, self._until_s - self._clock.monotonic())

    def grace_s(self) -> float:
        """What is left for the function when its requests have ended, or were cut."""
        return max(0.0, self._end_s - self._clock.monotonic())

    async def limit(self, finish: Callable[[float], Awaitable[None]]) -> None:
        """Run `finish(seconds)`, no longer than is left by whoever asked, meanwhile too."""
        try:
            async with asyncio.timeout(self.remaining_s()) as self._timeout:
                await finish(self.remaining_s())
        except TimeoutError:
            pass
        finally:
            self._timeout = None
