"""The end of a machine: happens once, and any number may wait for it."""

from __future__ import annotations

import asyncio

from aether.ports.vmm import End


class EndLatch:
    """Holds the first End it is given."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._end: End | None = None

    @property
    def value(self) -> End | None:
        return self._end

    def set(self, end: End) -> None:
        """Later ends than the first change nothing."""
        if self._end is None:
            self._end = end
            self._event.set()

    async def wait(self) -> End:
        await self._event.wait()
        assert self._end is not None
        return self._end
