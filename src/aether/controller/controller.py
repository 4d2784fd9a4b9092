"""Scaling, as a loop over facts: gather, decide (domain/scaling, domain/eviction), act."""

from __future__ import annotations

import asyncio

import structlog

from aether.controller.cluster import Demand, Routes
from aether.controller.facts import Facts
from aether.controller.hope import Hope
from aether.controller.keeping import keep, learns
from aether.controller.leaving import Leaving
from aether.controller.room import Room
from aether.domain.errors import StoreUnavailable
from aether.domain.function import FunctionConfig
from aether.domain.keep_alive import Learned, Policy
from aether.domain.scaling import Decision, History, decide
from aether.ports.clock import Clock
from aether.ports.election import Term
from aether.ports.registry import Registry

log = structlog.get_logger()

EVERY_S = 1.0
"""Source: the wire contract, "Scaling": looked at every second."""
RETRY_BROKEN_S = 60.0
"""How often a newest version that never got ready is tried again, aside."""
PAUSE_AFTER = 200
"""Functions that are looked at in one go: with thousands of them, requests have their turn in between."""


class Controller:
    """Scales every function and makes room; `run` is its whole life."""

    def __init__(
        self,
        routes: Routes,
        demand: Demand,
        registry: Registry,
        clock: Clock,
        *,
        keep_alive: Policy | None = None,
        max_instances: int = 0,
        term: Term | None = None,
    ) -> None:
        """`keep_alive` is for functions that learn it; `max_instances` of all together, 0 for any number.

        `term` is what it may act in, where it is one of several candidates.
        """
        self._routes = routes
        self._demand = demand
        self._clock = clock
        self._keep_alive = Learned() if keep_alive is None else keep_alive
        self._term = term
        self._leaving = Leaving(registry, term)
        self._facts = Facts(routes, demand, self._leaving)
        self._room = Room(routes, demand, self._facts, self._leaving, max_instances)
        self._histories: dict[str, History] = {}
        self._retry_at_s: dict[str, float] = {}
        self._short: dict[str, int] = {}
        """Starts of our own that had no room at the last look, by function id."""
        self._hope = Hope(self._room)
        self._room_wanted = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled: a look every second, and room in between as soon as somebody needs it."""
        due_s = self._clock.monotonic()
        while True:
            await self.look()
            due_s = max(due_s + EVERY_S, self._clock.monotonic())
            while (left_s := due_s - self._clock.monotonic()) > 0:
                try:
                    async with asyncio.timeout(left_s):
                        await self._room_wanted.wait()
                except TimeoutError:
                    break
                await self.make_room()

    async def look(self) -> None:
        """Decide once for each function. What goes wrong with one costs the others nothing."""
        now_s = self._clock.monotonic()
        functions = list(self._routes.functions())
        self._begin(functions, now_s)
        may_start = self._room.may_start()
        for number, function in enumerate(functions, 1):
            if not self._may_act():
                return
            try:
                started = await self._look_at(function, now_s, may_start)
                may_start = None if may_start is None else may_start - started
            except StoreUnavailable as error:
                log.warning("not scaled", function=function.name, reason=error.message)
            except Exception:
                log.exception("not scaled", function=function.name)
            if number % PAUSE_AFTER == 0:
                await asyncio.sleep(0)
        await self.make_room()

    def room_can_be_made(self, function: FunctionConfig) -> bool:
        """Whether idle instances leave for one of that function: then it is seen to at once."""
        answer = self._hope.for_one_of(
            function, self._routes.serving(function).revision, self._clock.monotonic()
        )
        if answer.news:
            self.room_wanted()
        return answer.hope

    def room_wanted(self) -> None:
        """Somebody has no room just now: it is seen to at once."""
        self._room_wanted.set()

    async def make_room(self) -> None:
        """Drain idle instances for those who have no room, and for workers that are short of memory."""
        self._room_wanted.clear()
        try:
            now_s = self._clock.monotonic()
            drain = self._room.evictions(self._short, now_s).drain
            if drain:
                for function in list(self._routes.functions()):
                    await self._drain(function, drain, "making room")
        except StoreUnavailable as error:
            log.warning("no room made", reason=error.message)
        except Exception:
            log.exception("no room made")

    def _may_act(self) -> bool:
        return self._term is None or self._term.holds

    def _begin(self, functions: list[FunctionConfig], now_s: float) -> None:
        self._facts.note(now_s)
        there = {function.id for function in functions}
        for function_id in self._facts.forget_all_but(there):
            self._keep_alive.forget(function_id)
        for function_id in self._histories.keys() - there:
            del self._histories[function_id]
        for function_id in self._retry_at_s.keys() - there:
            del self._retry_at_s[function_id]
        self._hope.prune(now_s)
        self._short.clear()
        if self._leaving:
            self._leaving.prune((i for f in functions for i in self._routes.instances(f.id)), now_s)
        self._keep_alive.review(now_s)

    async def _look_at(self, function: FunctionConfig, now_s: float, may_start: int | None) -> int:
        """How many instances were started."""
        self._retry_broken(function, now_s)
        if not function.has_code(self._routes.serving(function)) or self._sleeps(function):
            self._histories.pop(function.id, None)
            return 0
        decision = decide(
            function.limits,
            self._facts.of(function, now_s),
            self._histories.get(function.id),
            now_s,
            keep=keep(function, self._facts.activity(function, now_s), self._keep_alive),
        )
        self._histories[function.id] = decision.history
        started = self._start(function, decision, may_start)
        await self._drain(function, decision.drain, "scaling down")
        return started

    def _sleeps(self, function: FunctionConfig) -> bool:
        """Nothing is there, asked for, or may be due: most functions, most of the time."""
        return not (
            self._routes.instances(function.id)
            or self._demand.waiting(function.id)
            or self._demand.starting(function)
            or function.limits.min_instances
            or learns(function)
        )

    def _start(self, function: FunctionConfig, decision: Decision, may_start: int | None) -> int:
        """As many as there may be; what load needs beyond that wants room."""
        count = decision.start + decision.ahead
        if may_start is not None:
            count = min(count, may_start)
        if count and not self._routes.has_room(self._routes.serving(function).memory_mb):
            count = 0
        if count < decision.start:
            self._short[function.id] = decision.start - count
        if not count or not self._demand.start(function, count):
            return 0
        log.info("scaling up", function=function.name, by=count)
        return count

    async def _drain(self, function: FunctionConfig, instance_ids: tuple[str, ...], why: str) -> None:
        for instance in self._routes.instances(function.id):
            if instance.instance_id in instance_ids and instance not in self._leaving:
                log.info(why, function=function.name, instance=instance.instance_id)
                await self._leaving.tell(instance, self._clock.monotonic())

    def _retry_broken(self, function: FunctionConfig, now_s: float) -> None:
        if not self._routes.is_broken(function):
            self._retry_at_s.pop(function.id, None)
            return
        due_s = self._retry_at_s.setdefault(function.id, now_s + RETRY_BROKEN_S)
        if now_s >= due_s and self._routes.instances(function.id):
            self._retry_at_s[function.id] = now_s + RETRY_BROKEN_S
            self._demand.try_again(function)
