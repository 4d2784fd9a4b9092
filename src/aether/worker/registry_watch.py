"""Hearing all that the registry says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from aether.domain.errors import StoreUnavailable
from aether.ports.registry import Entry, Registry, View, Wants

RETRY_S = 0.5


async def follow(
    registry: Registry,
    on_view: Callable[[View], None],
    on_change: Callable[[str, Entry | None], None],
    wants: Wants | None = None,
) -> None:
    """For ever: a view of everything, then every change; a new view when changes may have been missed.

    `wants` are the keys of which changes are told.
    """
    while True:
        try:
            view = await registry.view()
            on_view(view)
            async with aclosing(registry.watch(view.revision, wants)) as changes:
                async for change in changes:
                    on_change(change.key, change.value)
        except StoreUnavailable:
            await asyncio.sleep(RETRY_S)
