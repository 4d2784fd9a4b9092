"""Two things under way at once, of which the first to end usually makes the other pointless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")


@asynccontextmanager
async def side_by_side(
    one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B]
) -> AsyncIterator[tuple[asyncio.Future[A], asyncio.Future[B]]]:
    """Both run within; then what has not ended is cancelled and awaited, and its errors are nobody's."""
    first, second = asyncio.ensure_future(one), asyncio.ensure_future(other)
    try:
        yield first, second
    finally:
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)


async def one_ended(*futures: asyncio.Future[Any], within_s: float | None = None) -> None:
    """Until the first of them has, or for so long."""
    await asyncio.wait(futures, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
