"""What a function's waiting requests come to: how many may wait, and how many starts they need."""

from __future__ import annotations

from aether.domain.function import Limits


def starts_missing(limits: Limits, *, waiting: int, ready: int, starting: int, carefully: bool) -> int:
    """N waiting at hard concurrency C need ceil(N / C) instances; what is on its way counts.

    Never beyond max_instances, nor more than max_starts_in_flight at once. `carefully` is for what kept
    failing: one instance is tried, however many wait, and then as many again as are there.
    """
    needed = -(-waiting // limits.max_concurrency) - starting
    most = min(limits.max_instances, max(1, 2 * ready)) if carefully else limits.max_instances
    return max(0, min(needed, most - ready - starting, limits.max_starts_in_flight - starting))


def may_wait(limits: Limits, *, ready: int) -> int:
    """Requests of a function that may wait at a gateway.

    `max_waiting` of them beyond what instances hold that there are not yet: a burst at a cold function
    fills `max_instances` first, and those who wait for such an instance have it already, so to say. So
    `over_limit` means both of what it says: `max_instances` busy, or spoken for, and `max_waiting` waiting.
    """
    to_come = max(0, limits.max_instances - ready)
    return limits.max_waiting + to_come * limits.max_concurrency
