"""What keeps failing, and the answer to who calls it meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aether.domain.errors import InstanceFailed
from aether.domain.function import FunctionConfig


@dataclass(frozen=True, slots=True)
class Trouble:
    """A revision that keeps failing. Until it doesn't, its instances are tried carefully."""

    what: str
    """`keeps ending` or `did not start`."""
    in_a_row: int
    pause_s: float
    """What is left of the pause before the next try; 0 when it is over."""
    reason: str
    console_tail: str

    def answer(self, function: FunctionConfig) -> InstanceFailed:
        """At once, in place of a wait for what would fail again."""
        after_s = max(1, math.ceil(self.pause_s))
        error = InstanceFailed(
            f"{function.name} {self.what}: {self.reason} ({self.in_a_row} in a row; next try in {after_s} s)",
            hint=self.console_tail or None,
            component="worker",
        )
        error.retry_after_s = after_s
        return error
