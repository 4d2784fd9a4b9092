"""Times in queries: RFC 3339, with its zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(?:\.(\d{1,6})\d*)?([Zz]|[+ -]\d\d:\d\d)")
_LAST_SECOND = 59


def parse_time(text: object) -> datetime:
    """Raises ValueError. A `+` that came as a space, unescaped in a query, is still a plus."""
    match = _RFC_3339.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("must be a time like 2026-01-31T12:00:00Z")
    day, minute, second, fraction, zone = match.groups()
    # A leap second counts as the one before: Python has none.
    second = f"{min(int(second), _LAST_SECOND):02}"
    offset = "+00:00" if zone in "Zz" else zone.replace(" ", "+")
    try:
        return datetime.fromisoformat(f"{day}T{minute}{second}.{fraction or 0:0<6}{offset}").astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is out of range") from error


QueryTime = Annotated[
    datetime, BeforeValidator(parse_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
