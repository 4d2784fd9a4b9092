"""How much memory there is to give to instances, and what is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aether.domain.memory import MIB, VMM_OVERHEAD, instance_bytes

RESERVE = 512 * MIB
"""Left to the host and to the platform itself."""
SMALLEST_INSTANCE = 64 * MIB


def host_memory(meminfo: Path = Path("/proc/meminfo")) -> tuple[int, int]:
    """Total and available memory of this host in bytes (`MemTotal`, `MemAvailable`)."""
    rows = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    total, available = (int(rows[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return total, available


class Capacity:
    """Admission by memory. An instance counts with its whole memory, touched or not."""

    def __init__(self, memory: Callable[[], tuple[int, int]] = host_memory) -> None:
        self._memory = memory
        self._given = 0
        self._freed = asyncio.Event()

    @property
    def total(self) -> int:
        return self._memory()[0]

    @property
    def free(self) -> int:
        """Bytes that may still be given: bounded by the plan and by what is really free."""
        total, available = self._memory()
        return max(0, min(total - RESERVE - self._given, available - RESERVE))

    @property
    def free_slots(self) -> int:
        return self.free // (SMALLEST_INSTANCE + VMM_OVERHEAD)

    def fits(self, memory_mib: int) -> bool:
        return instance_bytes(memory_mib) <= self.free

    @contextmanager
    def taken(self, memory_mib: int) -> Iterator[None]:
        """Count an instance in for the duration."""
        size = instance_bytes(memory_mib)
        self._given += size
        try:
            yield
        finally:
            self._given -= size
            self._freed.set()

    async def room_for(self, memory_mib: int, look_again_s: float = 1.0) -> None:
        """Wait until such an instance fits."""
        while not self.fits(memory_mib):
            self._freed.clear()
            try:
                async with asyncio.timeout(look_again_s):
                    await self._freed.wait()
            except TimeoutError:
                continue
