"""What simulated functions do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Delays in seconds, and failures. The default is instant and never fails."""

    boot_s: float = 0.0
    restore_s: float = 0.0
    ready_s: float = 0.0
    """From the guest being up to the function listening; after a boot only."""
    respond_s: float = 0.0
    """Of each request; the request header `x-simulated-respond-ms` overrides it."""
    never_ready: bool = False
    exits_before_ready: bool = False
    crash_after_requests: int | None = None
    """The request after so many answered ones ends the instance instead of being answered."""
