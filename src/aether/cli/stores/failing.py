"""A store that does not do what a role needs: told in a sentence, or waited for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import stamina
import stamina.instrumentation

from aether.cli.failures import StoreFailed
from aether.cli.output import say
from aether.cli.settings import Settings

T = TypeVar("T")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
ERRNO = re.compile(r"\[Errno -?\d+\] ")
HINT = "Start it, or mend the setting; --wait-for-stores waits for it."


@dataclass(frozen=True, slots=True)
class Target:
    """`address` as it may be shown, `setting` by the name that set it."""

    store: str
    address: str
    setting: str

    def __str__(self) -> str:
        return f"{self.store} at {self.address} ({self.setting})"


class StoreAway(StoreFailed):
    """It does not answer: later it may."""

    def __init__(self, target: Target, reason: str) -> None:
        self.reason = _sentence(reason)
        super().__init__(f"{target} can't be reached: {self.reason}.", hint=HINT)


class StoreRefuses(StoreFailed):
    """It answers, and will not have us: waiting would not help. `look_at`: a setting beside the address."""

    def __init__(self, target: Target, reason: str, look_at: str = "", *, hint: str | None = None) -> None:
        hint = hint or (f"Look at {look_at}." if look_at and look_at != target.setting else None)
        self.reason = _sentence(reason)
        super().__init__(f"{target} refuses us: {self.reason}.", hint=hint)


def target(settings: Settings, store: str, field: str, address: str) -> Target:
    return Target(store, address, settings.told_name(field))


async def ready(look: Callable[[], Awaitable[T]], *, wait: bool) -> T:
    """What `look` returns. Raises StoreFailed; with `wait`, StoreAway only means to look again."""
    if not wait:
        return await look()
    told = ""
    stamina.instrumentation.set_on_retry_hooks([])  # what it would log is said here
    async for attempt in stamina.retry_context(
        on=StoreAway,
        attempts=None,
        timeout=None,
        wait_initial=FIRST_PAUSE_S,
        wait_max=LONGEST_PAUSE_S,
        wait_jitter=FIRST_PAUSE_S,
    ):
        with attempt:
            try:
                found = await look()
            except StoreAway as away:
                if away.message != told:
                    told = away.message
                    say(f"Waiting: {told}")
                raise
    if told:
        say("It is there now.")
    return found


@asynccontextmanager
async def unless(stop: asyncio.Event) -> AsyncIterator[None]:
    """What is done meanwhile is cancelled when `stop` is set. Raises StoppedBefore then."""
    limit = asyncio.timeout(None)
    try:
        async with limit:
            # Its own task, and not a group's: what is raised meanwhile is told as it is.
            watching = asyncio.ensure_future(_end_by(stop, limit))
            try:
                yield
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
    except TimeoutError:
        if not limit.expired():
            raise
        raise StoppedBefore from None


class StoppedBefore(Exception):
    """Asked to stop before the start was done."""


async def _end_by(stop: asyncio.Event, limit: asyncio.Timeout) -> None:
    await stop.wait()
    limit.reschedule(asyncio.get_running_loop().time())


def _sentence(reason: str) -> str:
    """Its first line, without the full stop, and without what only programmers read."""
    return ERRNO.sub("", reason.strip().partition("\n")[0]).rstrip(". ")
