"""The machine's own clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Implements `aether.ports.clock.Clock`."""

    monotonic = staticmethod(time.monotonic)
    """Not wrapped once more: several are asked for with every request."""

    def now(self) -> datetime:
        return datetime.now(UTC)
