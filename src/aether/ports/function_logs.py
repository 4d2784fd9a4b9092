"""What functions print."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aether.ports.feed import Feed


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line. `stream` is `stdout`, `stderr` or `agent`; `at` is aware, UTC."""

    function_id: str
    instance_id: str
    stream: str
    text: str
    at: datetime
    call_id: str | None = None


class FunctionLogs(Protocol):
    """Keeps the newest lines of each function, bounded in number and in bytes."""

    @property
    def dropped(self) -> int:
        """Lines of this process that were not kept, so far."""
        ...

    def append(self, record: LogRecord) -> None:
        """Never blocks and never fails; what can't be kept is dropped, and counted."""
        ...

    async def tail(
        self, function_id: str, limit: int, since: datetime | None = None, call_id: str | None = None
    ) -> list[LogRecord]:
        """The newest `limit` that match, oldest of them first."""
        ...

    def follow(self, function_id: str) -> Feed[LogRecord]:
        """Lines from the moment of the call on, for ever; the caller closes it (`aclosing`)."""
        ...

    async def remove(self, function_id: str) -> None:
        """Idempotent."""
        ...
