"""How long idle instances of a function stay: by its two times, or as a policy learns."""

from __future__ import annotations

from aether.domain.activity import Activity
from aether.domain.function import KEEP_ALIVE_LEARNED, FunctionConfig
from aether.domain.keep_alive import Policy
from aether.domain.scaling import Keep


def learns(function: FunctionConfig) -> bool:
    return function.limits.keep_alive == KEEP_ALIVE_LEARNED


def keep(function: FunctionConfig, activity: Activity, policy: Policy) -> Keep:
    """What holds for the function now. The policy hears of every call that came after an idle time."""
    if not learns(function):
        return Keep.fixed(function.limits)
    if activity.came:
        kept_s = function.limits.scale_to_zero_after_s
        policy.called(function.id, activity.idle_ended_s, activity.at_s, kept_s)
    since_s = activity.idle_since_s
    if since_s is None:
        return Keep.fixed(function.limits)
    return policy.plan(function.id, since_s).at(function.limits, activity.at_s - since_s)
