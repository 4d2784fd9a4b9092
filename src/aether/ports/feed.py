"""Something that is listened to: changes, replies, log lines."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Feed(Protocol[T_co]):
    """Items in order, for ever, from the call that opened it on (not from the first `anext`).

    Whoever opened it closes it (`contextlib.aclosing`); iteration then ends, also for one who waits.
    A cancelled wait loses no item: the next `anext` gives it.
    """

    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> T_co: ...
    async def aclose(self) -> None: ...
