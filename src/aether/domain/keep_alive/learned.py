"""Keep-alive learnt per function, with prewarming: instances are on where calls are likeliest.

One price, in calls per idle second, holds for all functions: an instance stays, or comes back ahead of a
call, as long as the chance of a call in the next second is above it (idle_times), or one is due (rhythm).
So idle seconds go to the functions where each of them saves most cold starts. The price follows an account:
it rises when idle instances have cost more than the fixed rule would have for the same calls, each function
with its own time, and falls when less. So learning costs no more instance-seconds than the fixed rule does,
whatever the traffic.

State is in memory, bounded, and begins anew with the process. A function that nothing is known of gets what
the price makes of the prior, some minutes.
"""

from __future__ import annotations

from collections import OrderedDict

from aether.domain.keep_alive.idle_times import LONGEST_S, IdleTimes
from aether.domain.keep_alive.plan import Plan
from aether.domain.keep_alive.rhythm import Rhythm
from aether.domain.keep_alive.rules import SEED_KEEP_S

FUNCTIONS = 10_000
"""Remembered at most, some five kilobytes each; first forgotten are those not called for longest."""
FIRST_PRICE = 1 / 600
CHEAPEST, DEAREST = 1 / 3600, 1 / 60
"""However much is left in the account, an hour of idleness has to save one cold start."""
LEAST_OFF_S = 60.0
"""What a start is taken to cost, in idle seconds: nothing is stopped to be started again sooner."""
SHORTEST_KEEP_S = 5.0
LOOK_AGAIN = 16
"""With n idle times seen, a plan is made anew after n / 16 more, or when the price has moved."""
PRICE_MOVED = 1.1
REVIEW_S = 60.0
STEP = 0.02
"""By how much the price moves at each review."""
HALVED_AFTER_S = 7200.0
"""What was saved or overspent counts half after so long."""
SPENDS = 0.98
"""Of what the fixed rule would have spent."""


class _Planned:
    """Idle times of one kind, with what was made of them last."""

    __slots__ = ("_look_in", "_plan", "_price", "idle")

    def __init__(self) -> None:
        self.idle = IdleTimes()
        self._plan: Plan | None = None
        self._price = 0.0
        self._look_in = 0

    def add(self, idle_s: float, *, foretold: bool) -> None:
        self.idle.add(idle_s, foretold=foretold)
        self._look_in -= 1

    def plan(self, price: float) -> Plan:
        moved = max(self._price, price) > PRICE_MOVED * min(self._price, price)
        if self._plan is None or self._look_in <= 0 or moved:
            self._plan = _at_least(self.idle.plan(price, LEAST_OFF_S))
            self._price = price
            self._look_in = self.idle.seen // LOOK_AGAIN
        return self._plan


class _Function:
    __slots__ = ("any_time", "beside_rhythm", "rhythm")

    def __init__(self) -> None:
        self.rhythm = Rhythm()
        self.any_time = _Planned()
        """Idle times that began with no call due."""
        self.beside_rhythm: _Planned | None = None
        """Those that began with one due: what else may come. Most functions have none."""

    def planned(self) -> _Planned:
        """For idle times like the one that is, or comes."""
        if self.rhythm.next_call is None:
            return self.any_time
        if self.beside_rhythm is None:
            self.beside_rhythm = _Planned()
        return self.beside_rhythm


class Learned:
    """The policy for all functions that share its account.

    `spends` is the share of the fixed rule's idle seconds that may be spent.
    """

    def __init__(self, spends: float = SPENDS) -> None:
        self._spends = spends
        self._functions: OrderedDict[str, _Function] = OrderedDict()
        self._saved_s = 0.0
        self._reviewed_s: float | None = None
        self.price = FIRST_PRICE

    @property
    def known(self) -> int:
        """Functions of which something is remembered."""
        return len(self._functions)

    def called(
        self, function_id: str, idle_s: float | None, at_s: float, fixed_keep_s: float = SEED_KEEP_S
    ) -> None:
        function = self._function(function_id)
        if idle_s is not None:
            if idle_s > SHORTEST_KEEP_S:
                spent_s = self._plan(function, at_s - idle_s).on_s(idle_s)
                self._saved_s += self._spends * min(idle_s, fixed_keep_s) - spent_s
            due = function.rhythm.next_call
            function.planned().add(idle_s, foretold=due is not None and due[0] <= at_s <= due[1])
        function.rhythm.called(at_s)

    def plan(self, function_id: str, idle_since_s: float) -> Plan:
        """For the idle time that began then."""
        return self._plan(self._function(function_id), idle_since_s)

    def review(self, now_s: float) -> None:
        """Move the price by the account; to be called every now and then."""
        if self._reviewed_s is None:
            self._reviewed_s = now_s
        while now_s - self._reviewed_s >= REVIEW_S:
            self._reviewed_s += REVIEW_S
            factor = 1 - STEP if self._saved_s > 0 else 1 + STEP
            self.price = min(max(self.price * factor, CHEAPEST), DEAREST)
            self._saved_s *= 0.5 ** (REVIEW_S / HALVED_AFTER_S)

    def forget(self, function_id: str) -> None:
        self._functions.pop(function_id, None)

    def _function(self, function_id: str) -> _Function:
        function = self._functions.get(function_id)
        if function is None:
            function = self._functions[function_id] = _Function()
            if len(self._functions) > FUNCTIONS:
                self._functions.popitem(last=False)
        else:
            self._functions.move_to_end(function_id)
        return function

    def _plan(self, function: _Function, idle_since_s: float) -> Plan:
        plan = function.planned().plan(self.price)
        due = function.rhythm.next_call
        if due is None or due[2] < self.price * (due[1] - due[0]):
            return plan
        return _joined(plan, due[0] - idle_since_s, due[1] - idle_since_s)


def _at_least(plan: Plan) -> Plan:
    """Not gone at once: the call that was the last may have been the first of several."""
    if plan.kept_s >= SHORTEST_KEEP_S:
        return plan
    return Plan(((0.0, SHORTEST_KEEP_S), *(w for w in plan.windows if w[0] > SHORTEST_KEEP_S)))


def _joined(plan: Plan, from_s: float, to_s: float) -> Plan:
    """With one more window; nothing is off for less than LEAST_OFF_S beside it."""
    if to_s <= 0:
        return plan  # it was due while the last request still ran
    before = [w for w in plan.windows if w[1] < from_s - LEAST_OFF_S]
    after = [w for w in plan.windows if w[0] > to_s + LEAST_OFF_S]
    touched = plan.windows[len(before) : len(plan.windows) - len(after)]
    start = max(0.0, min([from_s, *(w[0] for w in touched)]))
    end = min(max([to_s, *(w[1] for w in touched)]), start + LONGEST_S)
    return Plan((*before, (start, end), *after))
