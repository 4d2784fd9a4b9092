"""The rule that decides.

The default is the rule of the system this one grows from (wire contract, "Worker"): more than
`target_concurrency` requests per instance on average starts another; an instance idle for
`instance_idle_timeout_s` is stopped while another remains; when all have been idle for
`scale_to_zero_after_s`, all are. `min_instances`, `max_instances` and `max_starts_in_flight` bound it,
and the windows keep it from flapping.
"""

from __future__ import annotations

from aether.domain.function import Limits
from aether.domain.scaling.facts import Decision, FunctionFacts, InstanceFacts, Keep
from aether.domain.scaling.windows import History, Look, seen

_Instances = list[InstanceFacts]


def decide(
    limits: Limits,
    facts: FunctionFacts,
    history: History | None = None,
    now_s: float = 0.0,
    *,
    keep: Keep | None = None,
) -> Decision:
    """What to start and what to drain now.

    `history` is that of the last decision, on the same clock as `now_s`; without one, only this look
    counts. `keep` is how long idle instances stay, if not by the function's own two times.
    """
    keep = keep or Keep.fixed(limits)
    current, outdated, have = facts.current, facts.outdated, facts.have
    past = seen(
        history or History(),
        Look(now_s, facts.load, facts.waiting),
        capacity=limits.target_concurrency * have,
        stable_s=limits.instance_idle_timeout_s,
    )
    may = _may_start(limits, facts)
    start = min(may, max(0, _wanted(limits, facts, past, now_s) - have))
    ahead = min(may - start, max(0, keep.ahead - have - start))
    drain = _replaced(current, outdated)
    if not (start or facts.waiting):
        drain += _abandoned(limits, current, outdated)
        if not facts.starting and all(i.fresh for i in current):
            drain += _surplus(limits, current) or _idle(limits, keep, current, past)
    return Decision(start, ahead, tuple(drain), past)


def _may_start(limits: Limits, facts: FunctionFacts) -> int:
    return max(0, min(limits.max_instances - facts.have, limits.max_starts_in_flight - facts.starting))


def _wanted(limits: Limits, facts: FunctionFacts, past: History, now_s: float) -> int:
    """Instances of the serving version, before the bounds.

    Not for those that wait: gateways have asked for the instances that these need, and a function whose
    first instance boots would get one more every second of it.
    """
    have, target = facts.have, limits.target_concurrency
    want = max(have, limits.min_instances)
    if have and sum(i.in_flight for i in facts.current) > target * have:
        want = max(want, have + 1)
        if past.panics(now_s):
            want = max(want, _ceil(past.sustained(now_s), target))
    if not all(i.idle_for(limits.instance_idle_timeout_s) for i in facts.outdated):
        want = max(want, _successors(facts.outdated, past, target))
    return want


def _successors(outdated: _Instances, past: History, target: int) -> int:
    """As many as the load of the stable window needs, but no more than those that they replace."""
    return max(1, min(len(outdated), _ceil(past.peak(), target)))


def _replaced(current: _Instances, outdated: _Instances) -> list[str]:
    """Outdated ones leave as soon as one of the serving version is ready to take over."""
    return [i.id for i in outdated] if any(i.fresh for i in current) else []


def _abandoned(limits: Limits, current: _Instances, outdated: _Instances) -> list[str]:
    """Outdated ones that nobody uses need no successor: they just go."""
    if current:
        return []
    return [i.id for i in outdated if i.fresh and i.idle_for(limits.instance_idle_timeout_s)]


def _surplus(limits: Limits, current: _Instances) -> list[str]:
    """What a lowered maximum has no place for, the least used first; its requests end all the same."""
    order = sorted(current, key=lambda i: (i.in_flight, -i.idle_s, i.id))
    return [i.id for i in order[: max(0, len(current) - limits.max_instances)]]


def _idle(limits: Limits, keep: Keep, current: _Instances, past: History) -> list[str]:
    """Longest idle first; the last one stays until all have been idle for long."""
    floor = max(limits.min_instances, keep.ahead)
    if not floor and all(i.idle_for(keep.last_idle_s) for i in current):
        return [i.id for i in current]
    stays = max(floor, 1, _ceil(past.peak(), limits.target_concurrency))
    idle = sorted((i for i in current if i.idle_for(keep.instance_idle_s)), key=lambda i: (-i.idle_s, i.id))
    return [i.id for i in idle[: max(0, len(current) - stays)]]


def _ceil(load: int, per_instance: int) -> int:
    return -(-load // per_instance)
