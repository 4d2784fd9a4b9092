"""Bounded console output: the newest bytes of each machine, and of the newest ended ones."""

from __future__ import annotations

from collections import OrderedDict, deque

CONSOLE_BYTES = 64 * 1024
RETIRED_CONSOLES = 32
"""Consoles of ended machines that are kept, so that a failure can still be looked at."""


class Console:
    """A ring of the newest `limit_bytes`, in whole pieces as they came."""

    def __init__(self, limit_bytes: int = CONSOLE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._pieces: deque[bytes] = deque()
        self._size_bytes = 0
        self.dropped_bytes = 0

    def write(self, data: bytes) -> None:
        """Append; what is older than the limit allows is dropped, and counted."""
        if len(data) > self._limit_bytes:
            self.dropped_bytes += len(data) - self._limit_bytes
            data = data[-self._limit_bytes :]
        if not data:
            return
        self._pieces.append(data)
        self._size_bytes += len(data)
        while self._size_bytes > self._limit_bytes:
            excess = self._size_bytes - self._limit_bytes
            oldest = self._pieces.popleft()
            kept = oldest[excess:]
            if kept:
                self._pieces.appendleft(kept)
            self._size_bytes -= len(oldest) - len(kept)
            self.dropped_bytes += len(oldest) - len(kept)

    def write_line(self, stream: str, text: str) -> None:
        """A line of the control channel, marked with its stream."""
        self.write(f"[{stream}] {text}\n".encode(errors="replace"))

    def text(self) -> str:
        """All that is kept. Bytes that are no UTF-8 are replaced."""
        return b"".join(self._pieces).decode(errors="replace")

    def tail(self, lines: int = 20) -> str:
        """The newest lines, without empty ones and carriage returns."""
        kept = [line.rstrip() for line in self.text().replace("\r", "\n").split("\n")]
        return "\n".join([line for line in kept if line][-lines:])


class Consoles:
    """Consoles by instance id; those of ended machines stay for a while, bounded in number."""

    def __init__(self, retired_limit: int = RETIRED_CONSOLES) -> None:
        self._open: dict[str, Console] = {}
        self._retired: OrderedDict[str, Console] = OrderedDict()
        self._retired_limit = retired_limit

    def open(self, instance_id: str) -> Console:
        """A new, empty console for a machine that starts."""
        self._retired.pop(instance_id, None)
        console = self._open[instance_id] = Console()
        return console

    def retire(self, instance_id: str) -> None:
        """The machine has ended. Idempotent."""
        console = self._open.pop(instance_id, None)
        if console is None:
            return
        self._retired[instance_id] = console
        while len(self._retired) > self._retired_limit:
            self._retired.popitem(last=False)

    def text(self, instance_id: str) -> str:
        console = self._open.get(instance_id) or self._retired.get(instance_id)
        return console.text() if console else ""
