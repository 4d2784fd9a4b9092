"""What the commands of all roles do alike: lock their directory, and run until asked to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import uvloop

from aether.cli.announcing import first_of
from aether.cli.data_dir import shared
from aether.cli.failures import ExitCode
from aether.cli.logging import configure_logging
from aether.cli.output import say
from aether.cli.settings import Settings
from aether.cli.stopping import clean_start, stop_on_signals
from aether.cli.stores.failing import StoppedBefore
from aether.cli.stores.needed import require

Life = Callable[[asyncio.Event, asyncio.Event], Awaitable[None]]
"""Lives until the first event, and hurries after the second."""


def serve(settings: Settings, role: str, live: Life, *, alone: bool = True) -> int:
    """Run a role until SIGTERM or Ctrl-C; a second one hurries it. Raises InvalidSettings, Refused.

    `alone`: no other of its kind may have the data directory; one that isn't sees to that itself.
    """
    configure_logging(settings.log_level)
    require(settings, role)
    with clean_start(), shared(settings.data_dir, role if alone else ""):
        return uvloop.run(_until_asked(live))


async def _until_asked(live: Life) -> int:
    stop, hurry = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop, hurry)
    try:
        await live(stop, hurry)
    except StoppedBefore:
        say("Stopped before it was up.")
        return ExitCode.OK
    except ExceptionGroup as group:
        # What went wrong first says more than that several things were going on.
        raise first_of(group) from group
    say("Stopped.")
    return ExitCode.INTERRUPTED if hurry.is_set() else ExitCode.OK
