"""How many instances a function should have: a pure function of facts, asked every second.

The default is the rule of the system this one grows from (wire contract, "Worker"): more than
`target_concurrency` requests per instance on average starts another; an instance idle for
`instance_idle_timeout_s` is stopped while another remains; when all have been idle for
`scale_to_zero_after_s`, all are. Per function `min_instances` and `max_instances` bound it.
"""

from __future__ import annotations

from dataclasses import dataclass

from aether.domain.function import Limits


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """One ready instance. `idle_s` is 0 while it runs a request."""

    id: str
    in_flight: int
    idle_s: float
    current: bool
    """It runs the version that should serve; others are to be replaced."""
    fresh: bool = True
    """The facts are recent enough to stop it by."""


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    instances: tuple[InstanceFacts, ...]
    starting: int
    """Instances of the serving version on their way."""
    waiting: int
    """Requests at gateways that no instance could take."""


@dataclass(frozen=True, slots=True)
class Decision:
    start: int = 0
    drain: tuple[str, ...] = ()


def decide(limits: Limits, facts: FunctionFacts) -> Decision:
    """What to start and what to drain now."""
    current = [i for i in facts.instances if i.current]
    outdated = [i for i in facts.instances if not i.current]
    start = _to_start(limits, facts, current, outdated)
    if start or facts.waiting:
        return Decision(start=start, drain=_replaced(current, outdated))
    idle = _idle(limits, current, starting=facts.starting)
    return Decision(drain=(*_replaced(current, outdated), *idle, *_abandoned(limits, current, outdated)))


def _to_start(
    limits: Limits, facts: FunctionFacts, current: list[InstanceFacts], outdated: list[InstanceFacts]
) -> int:
    have = len(current) + facts.starting
    want = max(have, limits.min_instances)
    # Not those that wait: gateways have asked for the instances that these need, and a function whose
    # first instance boots would get one more every second of it.
    load = sum(i.in_flight for i in current)
    if have and load > limits.target_concurrency * have:
        want = max(want, have + 1)
    replaces_busy = any(i.idle_s < limits.instance_idle_timeout_s for i in outdated)
    if not have and replaces_busy:
        want = max(want, 1)
    return max(0, min(want, limits.max_instances) - have)


def _replaced(current: list[InstanceFacts], outdated: list[InstanceFacts]) -> tuple[str, ...]:
    """Outdated ones leave as soon as one of the serving version is ready to take over."""
    return tuple(i.id for i in outdated) if current else ()


def _abandoned(
    limits: Limits, current: list[InstanceFacts], outdated: list[InstanceFacts]
) -> tuple[str, ...]:
    """Outdated ones that nobody uses need no successor: they just go."""
    if current:
        return ()
    return tuple(i.id for i in outdated if i.fresh and i.idle_s >= limits.instance_idle_timeout_s)


def _idle(limits: Limits, current: list[InstanceFacts], starting: int) -> tuple[str, ...]:
    """Longest idle first; the last one stays until all have been idle for long."""
    stale = any(not i.fresh for i in current)
    if stale or starting:
        return ()
    floor = limits.min_instances
    if floor == 0 and all(i.idle_s >= limits.scale_to_zero_after_s for i in current):
        return tuple(i.id for i in current)
    keep = max(floor, 1)
    idle = sorted((i for i in current if i.idle_s >= limits.instance_idle_timeout_s), key=lambda i: -i.idle_s)
    return tuple(i.id for i in idle[: max(0, len(current) - keep)])
