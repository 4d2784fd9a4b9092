"""Policies that learn nothing: so many seconds for every function."""

from __future__ import annotations

from aether.domain.keep_alive.plan import Plan

SEED_KEEP_S = 300.0
"""Source: the wire contract, "Scaling"; the scaling rule's own default."""
FIXED_KEEP_S = 600.0
"""What platforms commonly do. Source: "Serverless in the Wild" (ATC'20), the policy it compares with."""


class FixedTime:
    """The same time for every function, whatever its calls."""

    def __init__(self, keep_s: float) -> None:
        self._plan = Plan.keep(keep_s)

    def called(
        self, function_id: str, idle_s: float | None, at_s: float, fixed_keep_s: float = SEED_KEEP_S
    ) -> None:
        """Nothing to learn."""

    def plan(self, function_id: str, idle_since_s: float) -> Plan:  # noqa: ARG002 - the same for all
        return self._plan

    def review(self, now_s: float) -> None:
        """Nothing to weigh."""

    def forget(self, function_id: str) -> None:
        """Nothing to forget."""
