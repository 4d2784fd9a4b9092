"""Getting a code image out of the store, again if it came damaged, and what that can't mend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import structlog

from aether.domain.errors import DiskFull, InstanceFailed
from aether.worker.cached_images import CachedImages

log = structlog.get_logger()
T = TypeVar("T")

TRIES = 3
"""To get an image that is what it should be."""


async def fetched(images: CachedImages, what: str, into: Path, fetch: Callable[[], Awaitable[T]]) -> T:
    """What `fetch` returns, which writes the file `into`; `what` is the image's name for people.

    A full disk is met by all `images` that nobody uses. Raises InstanceFailed when the store has no such
    image, or only a damaged one, StoreUnavailable, DiskFull.
    """
    tries = TRIES
    while True:
        try:
            into.parent.mkdir(parents=True, exist_ok=True)
            return await fetch()
        except KeyError:
            raise missing(what) from None
        except DiskFull:
            if not images.drop_idle():
                raise
            log.warning("disk full, code images that nobody uses removed")
        except ValueError as error:
            tries -= 1
            log.warning("code image came damaged", image=what, reason=str(error), tries_left=tries)
            if not tries:
                raise InstanceFailed(
                    f"the code image {what} is damaged: {error}", hint="deploy again", component="worker"
                ) from error


def missing(what: str) -> InstanceFailed:
    return InstanceFailed(
        f"the code image {what} is not in the code store", hint="deploy again", component="worker"
    )
