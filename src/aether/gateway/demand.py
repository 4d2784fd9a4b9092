"""What a function's waiting requests come to: how many may wait, and how many starts they need."""

from __future__ import annotations

from dataclasses import dataclass

from aether.domain.function import Limits


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What other gateways tell of a function."""

    waiting: int = 0
    starting: int = 0


def starts_missing(
    limits: Limits,
    *,
    waiting: int,
    ready: int,
    starting: int,
    carefully: bool,
    elsewhere: Elsewhere = Elsewhere(),
) -> int:
    """N waiting at hard concurrency C need ceil(N / C) instances; what is on its way counts.

    Those who wait elsewhere are asked for there; but what was asked for there beyond that serves these too.
    Never beyond max_instances, nor more than max_starts_in_flight at once, whoever asks. `carefully` is for
    what kept failing: one instance is tried, however many wait, and then as many again as are there.
    """
    on_the_way = starting + elsewhere.starting
    needed = min(
        _ceil(waiting, limits.max_concurrency) - starting,
        _ceil(waiting + elsewhere.waiting, limits.max_concurrency) - on_the_way,
    )
    most = most_starts(limits, ready=ready, carefully=carefully)
    return max(0, min(needed, most - on_the_way))


def most_starts(limits: Limits, *, ready: int, carefully: bool) -> int:
    """Instances that may be on their way at a time, whoever asks for them."""
    most = min(limits.max_instances, max(1, 2 * ready)) if carefully else limits.max_instances
    return min(most - ready, limits.max_starts_in_flight)


def may_wait(limits: Limits, *, ready: int) -> int:
    """Requests of a function that may wait at a gateway.

    `max_waiting` of them beyond what instances hold that there are not yet: a burst at a cold function
    fills `max_instances` first, and those who wait for such an instance have it already, so to say. So
    `over_limit` means both of what it says: `max_instances` busy, or spoken for, and `max_waiting` waiting.
    """
    to_come = max(0, limits.max_instances - ready)
    return limits.max_waiting + to_come * limits.max_concurrency


def _ceil(requests: int, per_instance: int) -> int:
    return -(-requests // per_instance)
