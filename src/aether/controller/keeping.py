"""How long idle instances of a function stay: by its two times, or as a policy learns."""

from __future__ import annotations

import math
from typing import Protocol

from aether.domain.activity import Activity
from aether.domain.function import KEEP_ALIVE_LEARNED, FunctionConfig
from aether.domain.scaling import Keep

AT_ONCE_S = 0.0


class Plan(Protocol):
    """When a function without requests has an instance on."""

    def is_on(self, idle_s: float) -> bool: ...


class Policy(Protocol):
    """Learns from when calls come; times are seconds on one clock that never goes back."""

    def called(self, function_id: str, idle_s: float | None, at_s: float) -> None:
        """A call came `at_s`, after `idle_s` without any request running; None if nobody knows how long."""
        ...

    def plan(self, function_id: str, idle_since_s: float) -> Plan: ...
    def review(self, now_s: float) -> None: ...
    def forget(self, function_id: str) -> None: ...


def keep(function: FunctionConfig, activity: Activity, policy: Policy | None) -> Keep:
    """What holds for the function now. A learning policy hears of what came since the look before."""
    fixed = Keep.fixed(function.limits)
    if policy is None or function.limits.keep_alive != KEEP_ALIVE_LEARNED:
        return fixed
    if activity.came:
        policy.called(function.id, activity.idle_ended_s, activity.at_s)
    if activity.idle_since_s is None:
        return fixed
    plan = policy.plan(function.id, activity.idle_since_s)
    if plan.is_on(activity.at_s - activity.idle_since_s):
        return Keep(fixed.instance_idle_s, math.inf, ahead=1)
    return Keep(fixed.instance_idle_s, AT_ONCE_S)
