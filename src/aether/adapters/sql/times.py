"""Points in time as columns: aware, UTC, and sortable as they are stored."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, String
from sqlalchemy.types import TypeDecorator, TypeEngine

STORED = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[ T](?P<time>\d\d:\d\d(?::\d\d)?)"
    r"(?:\.(?P<fraction>\d+))?\s*(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
"""Ours, SQLite's CURRENT_TIMESTAMP, and what Go's SQLite drivers write (nanoseconds, `+0000 UTC m=…`)."""


def to_text(value: datetime) -> str:
    """Of fixed width, so that text order is time order; Go's SQLite driver reads it too."""
    utc = value if value.tzinfo is UTC else value.astimezone(UTC)
    return utc.isoformat(" ", "microseconds")


def from_text(text: str) -> datetime:
    """A time without a zone is taken as UTC. Raises ValueError."""
    match = STORED.match(text)
    if match is None:
        raise ValueError(f"not a time: {text!r}")
    fraction = (match["fraction"] or "0")[:6].ljust(6, "0")
    time = match["time"] if match["time"].count(":") > 1 else f"{match['time']}:00"
    zone = "+00:00" if match["zone"] in (None, "Z") else match["zone"]
    return datetime.fromisoformat(f"{match['date']} {time}.{fraction}{zone}").astimezone(UTC)


class UtcTime(TypeDecorator[Any]):
    """`timestamp with time zone`; in SQLite, which has none, text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return to_text(value)

    def process_result_value(self, value: str | datetime | None, _dialect: Dialect) -> datetime | None:
        if isinstance(value, str):
            return from_text(value)
        return value
