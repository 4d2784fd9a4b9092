"""How much memory there is to give to instances, and what is given.

No memory is promised twice: an instance counts with its whole memory and what its VMM takes beside it,
from before its start until its process is gone, however little of that it has touched. So a function that
begins to use what it was given never finds that others have it; the price is that idle instances, which
touch less, keep others from being started. What they have touched is seen in what the host has available
as well, and counts once: only what is promised and not touched yet is taken off that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aether.domain.memory import MIB, Room, instance_bytes

RESERVE = 512 * MIB
"""Left to the host and to the platform itself: starts take none of it."""
SHORT_BELOW = RESERVE - 64 * MIB
"""With less available, idle instances are asked to go until the reserve is whole. The two differ, so that
a few MiB more or less end nothing."""
SMALLEST_INSTANCE_MIB = 64


class Capacity:
    """Admission by memory and by number. `memory` tells total and available bytes of the host."""

    def __init__(
        self,
        memory: Callable[[], tuple[int, int]],
        *,
        resident: Callable[[], Mapping[str, int]] = dict,
        overhead_mib: int = 0,
        max_instances: int = 0,
    ) -> None:
        """`resident` tells bytes that instances have touched, by id; `max_instances` 0 is any number."""
        self.overhead = overhead_mib * MIB
        self.max_instances = max_instances
        self._memory = memory
        self._resident = resident
        self._given: dict[str, int] = {}
        self._given_bytes = 0
        self._freed = asyncio.Event()

    def look(self) -> Room:
        total, available = self._memory()
        resident = self._resident()
        given = self._given_bytes
        touched = sum(min(self._given.get(name, 0), size) for name, size in resident.items())
        free = max(0, min(total - RESERVE - given, available - RESERVE - (given - touched)))
        slots = free // self._size(SMALLEST_INSTANCE_MIB)
        if self.max_instances:
            slots = min(slots, max(0, self.max_instances - len(self._given)))
        return Room(
            total=total,
            free=free,
            slots=slots,
            short_of=RESERVE - available if available < SHORT_BELOW else 0,
            instances=len(self._given),
            max_instances=self.max_instances,
        )

    def why_not(self, worker_id: str, memory_mib: int, count: int = 1) -> str | None:
        """Why that worker may not start so many instances now; None if it may."""
        return self.look().why_not(worker_id, self._size(memory_mib), count)

    def take(self, instance_id: str, memory_mib: int) -> None:
        """From here on it counts."""
        self._given[instance_id] = self._size(memory_mib)
        self._given_bytes += self._given[instance_id]

    def give_back(self, instance_id: str) -> None:
        """Nothing of it is left."""
        self._given_bytes -= self._given.pop(instance_id)
        self._freed.set()

    async def room_for(self, memory_mib: int, look_again_s: float = 1.0) -> None:
        """Wait until such an instance fits."""
        while self.why_not("", memory_mib) is not None:
            self._freed.clear()
            try:
                async with asyncio.timeout(look_again_s):
                    await self._freed.wait()
            except TimeoutError:
                continue

    def _size(self, memory_mib: int) -> int:
        return instance_bytes(memory_mib, self.overhead)
