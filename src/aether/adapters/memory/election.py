"""The election port in one process."""

from __future__ import annotations

import asyncio
from itertools import count

from aether.adapters.memory.registry import MemoryRegistry
from aether.ports.election import KEY, Fence


class MemoryElection:
    """Implements `aether.ports.election.Election`; its fences stand in the registry that it is given."""

    def __init__(self, registry: MemoryRegistry) -> None:
        self._fences = registry.fences
        self._turn = asyncio.Lock()
        self._numbers = count(1)
        self._leader: str | None = None

    async def elected(self, candidate_id: str) -> _MemoryTerm:
        await self._turn.acquire()
        self._leader = candidate_id
        fence = Fence(KEY, f"{candidate_id} {next(self._numbers)}")
        self._fences[KEY] = fence.value
        return _MemoryTerm(self, fence)

    async def leader(self) -> str | None:
        return self._leader

    def vacate(self) -> None:
        self._leader = None
        del self._fences[KEY]
        self._turn.release()


class _MemoryTerm:
    """Implements `aether.ports.election.Term`: in one process nobody is cut off."""

    def __init__(self, election: MemoryElection, fence: Fence) -> None:
        self._election = election
        self._fence = fence
        self._over = asyncio.Event()

    @property
    def holds(self) -> bool:
        return not self._over.is_set()

    @property
    def fence(self) -> Fence:
        return self._fence

    async def over(self) -> None:
        await self._over.wait()

    async def resign(self) -> None:
        if self.holds:
            self._over.set()
            self._election.vacate()
