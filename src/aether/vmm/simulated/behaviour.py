"""What simulated functions do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

HEALTH_PATH = "/health"
"""What such a function has as `health_path`; it answers there whatever else it does, unless it hangs."""


class Fault(StrEnum):
    """What a request does to the function, in place of being answered."""

    CRASH = "crash"
    """The process ends with exit code 1."""
    OUT_OF_MEMORY = "oom"
    HANG = "hang"
    """The event loop is blocked for good: connections are taken, nothing is answered. The guest lives."""
    FREEZE = "freeze"
    """As a hang, and the guest's agent gives no sign of life either."""
    GARBAGE = "garbage"
    """Bytes that are no HTTP; the instance goes on."""
    CUT = "cut"
    """Half of the answer's body, then the connection breaks; the instance goes on."""
    EXIT_MID_ANSWER = "exit_mid_answer"
    """Half of the answer's body, then the process ends with exit code 1."""
    EXIT_AFTER_ANSWER = "exit_after_answer"
    """The whole answer, then the process ends with exit code 0."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Delays in seconds, and failures. The default is instant and never fails.

    A request's header `x-simulated-fault` (a Fault's value) does the same to this request.
    """

    boot_s: float = 0.0
    restore_s: float = 0.0
    ready_s: float = 0.0
    """From the guest being up to the function listening; after a boot only."""
    respond_s: float = 0.0
    """Of each request; the request header `x-simulated-respond-ms` overrides it."""
    finish_s: float = 0.0
    """From SIGTERM to the end of the process, when no request runs; cut by the grace."""
    never_ready: bool = False
    exits_before_ready: bool = False
    well_after_s: float = 0.0
    """Of listening; until then the health path answers 503."""
    fault: Fault | None = None
    """What the request after `fault_after_requests` answered ones does, and each one after it."""
    fault_after_requests: int = 0

    def fault_of(self, answered: int) -> Fault | None:
        """What the next request does, after so many."""
        return self.fault if answered >= self.fault_after_requests else None
