"""One function's day in simulated time, from event to event.

The rules are the platform's own: `domain/scaling` decides at whole seconds, under what a keep-alive policy
plans for idleness; waiting requests start as many instances as they need at the hard limit, as the
activator does; of two instances the one with less in flight is taken. Only those seconds are looked at in
which a decision can come out: while there is more load than instances are meant for, while there are
several, and when the plan changes. `every_second` looks at all; a test holds that both are the same.
"""

from __future__ import annotations

import math
import random
from array import array
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

from aether.domain.function import Limits
from aether.domain.keep_alive import Plan, Policy
from aether.domain.scaling import FunctionFacts, History, InstanceFacts, decide
from benchmarks.scaling.arrivals import Calls

NEVER = math.inf


@dataclass(slots=True)
class Outcome:
    calls: int = 0
    waits_s: array[float] = field(default_factory=lambda: array("d"))
    """Of the cold calls: those that had to wait for an instance to start."""
    instance_s: float = 0.0
    """From the order to start to the end, idle or not."""
    starts: int = 0
    ahead: int = 0
    """Starts that no request waited for."""


class _Instance:
    __slots__ = ("idle_since_s", "in_flight", "name", "ordered_s")

    def __init__(self, name: str, ordered_s: float) -> None:
        self.name = name
        self.ordered_s = ordered_s
        self.in_flight = 0
        self.idle_since_s = 0.0


class Replay:
    """`advance` to any later time, as often as wanted; `finish` for the outcome."""

    def __init__(
        self,
        name: str,
        calls: Calls,
        policy: Policy,
        start_s: float,
        limits: Limits | None = None,
        *,
        every_second: bool = False,
    ) -> None:
        self._name = name
        self._calls = calls
        self._policy = policy
        self._start_s = start_s
        self._limits = limits or Limits()
        self._every_second = every_second
        self._rng = random.Random(name)
        self._next = 0
        self._ready: list[_Instance] = []
        self._starting: deque[tuple[float, _Instance]] = deque()
        self._running: list[tuple[float, int, _Instance]] = []
        self._waiting: deque[int] = deque()
        self._tick_s = 0.0 if every_second else NEVER
        self._idle_since_s: float | None = None
        self._plan: Plan | None = None
        self._history = History()
        self._outcome = Outcome(calls=len(calls.at_s))

    def advance(self, until_s: float) -> None:
        """All that happens before `until_s`."""
        at_s, count = self._calls.at_s, len(self._calls.at_s)
        while True:
            arrival_s = at_s[self._next] if self._next < count else NEVER
            end_s = self._running[0][0] if self._running else NEVER
            ready_s = self._starting[0][0] if self._starting else NEVER
            now_s = min(arrival_s, end_s, ready_s, self._tick_s)
            if now_s >= until_s:
                return
            if now_s == end_s:
                self._end(now_s)
            elif now_s == ready_s:
                self._get_ready(now_s)
            elif now_s == arrival_s:
                self._arrive(now_s)
                continue
            else:
                self._look(now_s)
            self._plan_look(now_s)

    def finish(self, at_s: float) -> Outcome:
        """With the instances that are still there counted up to `at_s`."""
        self.advance(at_s)
        for instance in [*self._ready, *(i for _, i in self._starting)]:
            self._outcome.instance_s += at_s - instance.ordered_s
        return self._outcome

    # What happens

    def _arrive(self, now_s: float) -> None:
        call, self._next = self._next, self._next + 1
        if not self._running and not self._waiting:
            idle_s = None if self._idle_since_s is None else now_s - self._idle_since_s
            self._policy.called(self._name, idle_s, now_s)
            self._plan = None
        instance = self._pick()
        if instance is not None:
            self._run(call, instance, now_s)
        else:
            self._waiting.append(call)
            self._start_for_waiting(now_s)
        self._plan_look(now_s)

    def _run(self, call: int, instance: _Instance, now_s: float) -> None:
        instance.in_flight += 1
        heappush(self._running, (now_s + self._calls.execution_s[call], call, instance))

    def _end(self, now_s: float) -> None:
        _, _, instance = heappop(self._running)
        instance.in_flight -= 1
        instance.idle_since_s = now_s
        if self._waiting:
            self._hand_over(now_s)
        if not self._running and not self._waiting:
            self._idle_since_s = now_s

    def _get_ready(self, now_s: float) -> None:
        _, instance = self._starting.popleft()
        instance.idle_since_s = now_s
        self._ready.append(instance)
        self._hand_over(now_s)

    def _hand_over(self, now_s: float) -> None:
        while self._waiting:
            instance = self._pick()
            if instance is None:
                return
            call = self._waiting.popleft()
            self._outcome.waits_s.append(now_s - self._calls.at_s[call])
            self._run(call, instance, now_s)

    def _pick(self) -> _Instance | None:
        """As the gateway's routes do: the less loaded of two random ones with room."""
        limit = self._limits.max_concurrency
        ready = self._ready
        if len(ready) == 1:
            return ready[0] if ready[0].in_flight < limit else None
        free = [i for i in ready if i.in_flight < limit]
        if len(free) > 1:
            return min(self._rng.sample(free, 2), key=lambda i: i.in_flight)
        return free[0] if free else None

    # Starting and stopping

    def _start_for_waiting(self, now_s: float) -> None:
        limits = self._limits
        wanted = -(-len(self._waiting) // limits.max_concurrency)
        missing = min(wanted, limits.max_instances - len(self._ready)) - len(self._starting)
        self._start(min(missing, limits.max_starts_in_flight - len(self._starting)), now_s)

    def _start(self, count: int, now_s: float) -> None:
        for _ in range(count):
            self._outcome.starts += 1
            instance = _Instance(f"{self._name}-{self._outcome.starts}", now_s)
            self._starting.append((now_s + self._start_s, instance))

    def _look(self, now_s: float) -> None:
        """What the controller does every second."""
        facts = FunctionFacts(
            instances=tuple(
                InstanceFacts(i.name, i.in_flight, 0.0 if i.in_flight else now_s - i.idle_since_s, True)
                for i in self._ready
            ),
            starting=len(self._starting),
            waiting=len(self._waiting),
        )
        keep = None
        if self._is_idle:
            assert self._idle_since_s is not None
            keep = self._planned().at(self._limits, now_s - self._idle_since_s)
        decision = decide(self._limits, facts, self._history, now_s, keep=keep)
        self._history = decision.history
        self._outcome.ahead += decision.ahead
        self._start(decision.start + decision.ahead, now_s)
        if decision.drain:
            leaving = set(decision.drain)
            self._outcome.instance_s += sum(now_s - i.ordered_s for i in self._ready if i.name in leaving)
            self._ready = [i for i in self._ready if i.name not in leaving]

    @property
    def _is_idle(self) -> bool:
        return not self._running and not self._waiting and self._idle_since_s is not None

    def _planned(self) -> Plan:
        if self._plan is None:
            assert self._idle_since_s is not None
            self._plan = self._policy.plan(self._name, self._idle_since_s)
        return self._plan

    def _plan_look(self, now_s: float) -> None:
        """When the controller's look can next bring something."""
        have = len(self._ready) + len(self._starting)
        if self._every_second or have > 1 or (have and len(self._running) > self._limits.target_concurrency):
            self._tick_s = math.floor(now_s) + 1.0
        elif self._is_idle:
            self._tick_s = self._next_change_s(now_s, have)
        else:
            self._tick_s = NEVER

    def _next_change_s(self, now_s: float, have: int) -> float:
        soonest_s = math.floor(now_s) + 1.0
        if self._next < len(self._calls.at_s) and self._calls.at_s[self._next] <= soonest_s:
            return NEVER  # the next call comes before
        assert self._idle_since_s is not None
        plan = self._planned()
        if plan.is_on(soonest_s - self._idle_since_s) != bool(have):
            return soonest_s
        change_s = self._idle_since_s + plan.next_change_s(soonest_s - self._idle_since_s)
        return change_s if math.isinf(change_s) else max(soonest_s, float(math.ceil(change_s)))
