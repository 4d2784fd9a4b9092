"""What a keep-alive policy is."""

from __future__ import annotations

from typing import Protocol

from aether.domain.keep_alive.plan import Plan
from aether.domain.keep_alive.rules import SEED_KEEP_S


class Policy(Protocol):
    """Of functions by id; times are seconds on one clock that never goes back."""

    def called(
        self, function_id: str, idle_s: float | None, at_s: float, fixed_keep_s: float = SEED_KEEP_S
    ) -> None:
        """A call came `at_s`, after `idle_s` without any request running; None if nobody knows how long.

        `fixed_keep_s` is how long the function's last instance would have stayed by the fixed rule.
        """
        ...

    def plan(self, function_id: str, idle_since_s: float) -> Plan:
        """For the idle time that began then, its last request having ended."""
        ...

    def review(self, now_s: float) -> None:
        """To be called every now and then: what is weighed across functions is weighed anew."""
        ...

    def forget(self, function_id: str) -> None: ...
