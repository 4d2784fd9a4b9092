"""The function logs port in one process."""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime
from itertools import islice

from aether.adapters.memory.fanout import Fanout
from aether.ports.feed import Feed
from aether.ports.function_logs import LogRecord

RECORD_OVERHEAD_BYTES = 400
"""A record without its text, as CPython 3.11 holds it: object, datetime, strings' headers, ids."""


def cost_bytes(record: LogRecord) -> int:
    """What a record counts for: close to the memory it takes."""
    return RECORD_OVERHEAD_BYTES + len(record.text.encode(errors="replace"))


class MemoryFunctionLogs:
    """Implements `aether.ports.function_logs.FunctionLogs`.

    Over `total_bytes`, the oldest lines go of the function that printed longest ago.
    """

    def __init__(
        self,
        *,
        max_lines: int = 2_000,
        max_bytes: int = 1 << 20,
        total_bytes: int = 64 << 20,
        follow_buffer: int = 1_000,
    ) -> None:
        """`max_lines`, `max_bytes`: per function; `follow_buffer`: unread lines of one follower."""
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._total_bytes = total_bytes
        self._held_bytes = 0
        self._dropped = 0
        self._logs: OrderedDict[str, _Log] = OrderedDict()
        """Least recently printed first."""
        self._followers: Fanout[LogRecord] = Fanout(follow_buffer)

    @property
    def dropped(self) -> int:
        """Lines too long to keep, and lines that followers were too slow for."""
        return self._dropped

    @property
    def held_bytes(self) -> int:
        return self._held_bytes

    def append(self, record: LogRecord) -> None:
        self._dropped += self._followers.publish(record.function_id, record)
        cost = cost_bytes(record)
        if cost > min(self._max_bytes, self._total_bytes) or self._max_lines < 1:
            self._dropped += 1
            return
        log = self._logs.setdefault(record.function_id, _Log())
        self._logs.move_to_end(record.function_id)
        log.records.append(record)
        log.held_bytes += cost
        self._held_bytes += cost
        while len(log.records) > self._max_lines or log.held_bytes > self._max_bytes:
            self._forget_oldest(log)
        while self._held_bytes > self._total_bytes:
            quiet_id, quiet = next(iter(self._logs.items()))
            self._forget_oldest(quiet)
            if not quiet.records:
                del self._logs[quiet_id]

    async def tail(
        self, function_id: str, limit: int, since: datetime | None = None, call_id: str | None = None
    ) -> list[LogRecord]:
        log = self._logs.get(function_id)
        if log is None or limit < 1:
            return []
        matching = (
            record
            for record in reversed(log.records)
            if (since is None or record.at >= since) and (call_id is None or record.call_id == call_id)
        )
        return list(islice(matching, limit))[::-1]

    def follow(self, function_id: str) -> Feed[LogRecord]:
        return self._followers.subscribe(function_id)

    async def remove(self, function_id: str) -> None:
        log = self._logs.pop(function_id, None)
        if log is not None:
            self._held_bytes -= log.held_bytes

    def _forget_oldest(self, log: _Log) -> None:
        cost = cost_bytes(log.records.popleft())
        log.held_bytes -= cost
        self._held_bytes -= cost


class _Log:
    """The lines of one function."""

    __slots__ = ("held_bytes", "records")

    def __init__(self) -> None:
        self.records: deque[LogRecord] = deque()
        self.held_bytes = 0
