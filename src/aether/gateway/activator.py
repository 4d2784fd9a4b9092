"""Requests that no instance can take yet.

One bounded queue per function, first in first out. Whenever an instance appears or one of its
requests ends, the longest waiting request gets it. Starts follow demand: N waiting requests at
hard concurrency C want ceil(N / C) instances, up to the function's limits; what is on its way counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from aether.domain.deadline import Deadline
from aether.domain.errors import DeadlineExceeded, FunctionNotFound, NoCapacity
from aether.domain.function import FunctionConfig
from aether.gateway.asks import Asks
from aether.gateway.grant import Grant, granted
from aether.gateway.places import Slot
from aether.gateway.provisioner import Provisioner
from aether.gateway.routes import RouteTable
from aether.gateway.waiting_requests import WaitingRequests
from aether.ports.clock import Clock
from aether.ports.job_queue import JobQueue

MAX_WAITING = 10_000
LOOK_AGAIN_S = 1.0
"""How often those who wait are looked at although nothing has happened."""
FIRST_REST_S, LONGEST_REST_S = 0.005, 0.5
"""How long an instance that is full with other gateways' requests is not asked again; doubled each time."""


class Activator:
    """Owned by a gateway; `run` has to be running for any start to be asked for."""

    def __init__(
        self,
        routes: RouteTable,
        jobs: JobQueue,
        clock: Clock,
        *,
        gateway_id: str,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._routes = routes
        self._clock = clock
        self._requests = WaitingRequests(routes, max_waiting)
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._provisioner = Provisioner(
            routes,
            jobs,
            clock,
            gateway_id=gateway_id,
            changed=self.changed,
            fail=self._requests.fail,
        )
        routes.on_change = self.changed
        self.starting = self._provisioner.starting
        self.start = self._provisioner.start
        self.rollout = self._provisioner.rollout
        self.start_newest = self._provisioner.newest.start_newest
        self.try_again = self._provisioner.newest.try_again
        self.others = self._provisioner.others

    # What the edge asks

    def idle(self, function_id: str) -> bool:
        """Nobody waits: whoever comes now need not queue."""
        return function_id not in self._requests.functions

    async def acquire(
        self,
        function: FunctionConfig,
        deadline: Deadline,
        *,
        arrived_at: float | None = None,
        again: bool = False,
        avoid: Slot | None = None,
    ) -> Grant:
        """Wait for a place, in the order of `arrived_at` (perf_counter; now, unless told).

        `again` is for who had a place that came to nothing: the bounds don't keep it out; `avoid` is
        the instance of that place, where another is better. Raises OverLimit, QueueFull, NoCapacity,
        InstanceFailed (what should start doesn't; console in the hint), FunctionNotFound (deleted
        meanwhile), DeadlineExceeded.
        """
        if not again:
            self._requests.check(function)
        refusal = self._provisioner.refusal(function)
        if refusal is not None:
            raise refusal
        began_s = self._clock.monotonic()
        arrived_at = time.perf_counter() if arrived_at is None else arrived_at
        if self.idle(function.id):
            self._provisioner.news()
        waiter = self._requests.join(function.id, arrived_at, avoid)
        self.changed(function.id)
        try:
            async with asyncio.timeout(deadline.remaining_s(began_s)):
                slot = await waiter.place
        except (TimeoutError, asyncio.CancelledError) as ended:
            # It may have been granted in the very turn of the loop in which the wait ended.
            if waiter.place.done() and not waiter.place.cancelled() and waiter.place.exception() is None:
                self.release(waiter.place.result())
            if isinstance(ended, asyncio.CancelledError):
                raise
            raise DeadlineExceeded(
                f"no instance of {function.name} could take the request before the deadline "
                f"(phase: {self._provisioner.phase(function.id)})"
            ) from None
        finally:
            self._requests.leave(function.id, waiter)
        waited_ms = (self._clock.monotonic() - began_s) * 1000
        start = self._provisioner.starts.phases_since(slot.instance.instance_id, began_s)
        return granted(slot, waited_ms, start)

    def release(self, slot: Slot) -> None:
        """A request that was granted has ended: who waits longest has its place."""
        self._routes.release(slot)
        self._place_came_free(slot.instance.function_id)

    def refused_full(self, slot: Slot) -> None:
        """Other gateways' requests fill it: it rests, and then is asked again."""
        places = self._routes.places(slot.instance.function_id)
        if places is None:
            slot.in_flight -= 1
            return
        places.rest(slot)
        rest_s = min(FIRST_REST_S * 2 ** min(slot.refusals - 1, 10), LONGEST_REST_S)
        asyncio.get_running_loop().call_later(rest_s, self._rested, slot)

    def give_up(self) -> None:
        """The gateway stops, and waits no longer."""
        stops = NoCapacity("the platform stops, and no instance was ready before")
        for function_id in list(self._requests.functions):
            self._requests.fail(function_id, stops)

    # What the controller and the API ask

    @property
    def room_can_be_made(self) -> Callable[[FunctionConfig], bool]:
        """Whether idle instances leave for one of that function; the controller knows, and sees to it."""
        return self._provisioner.room.can_be_made

    @room_can_be_made.setter
    def room_can_be_made(self, told: Callable[[FunctionConfig], bool]) -> None:
        self._provisioner.room.can_be_made = told

    def missing_room(self) -> Mapping[str, int]:
        """Instances that those who wait need and no worker has room for, by function id."""
        return self._provisioner.missing_room(self._requests.functions)

    def waiting(self, function_id: str) -> int:
        return self._requests.count(function_id)

    def asks(self) -> Asks:
        """What other gateways and who scales have to know of this one."""
        return self._provisioner.asks(self._requests.counts())

    def on_news(self, heard: Callable[[], None]) -> None:
        """Called when `asks` has changed so that somebody should know at once."""
        self._provisioner.news = heard

    def on_room_wanted(self, heard: Callable[[], None]) -> None:
        """Called when another gateway has no room for what waits there."""
        self._provisioner.room_wanted = heard

    # How it works

    def changed(self, function_id: str) -> None:
        """Something happened that may let a request go on, or want a start."""
        self._dirty.add(function_id)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._provisioner.starts.run(), name="starts")
            group.create_task(self._look_again(), name="waiting requests")
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._dirty:
                    self._plan(self._dirty.pop())

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            for function_id in self._requests.functions:
                self.changed(function_id)

    def _plan(self, function_id: str) -> None:
        function = self._routes.find(function_id)
        if function is None:
            self._provisioner.forget(function_id)
            gone = FunctionNotFound("the function was deleted while the request waited")
            self._requests.fail(function_id, gone)
            return
        slots = self._routes.slots(function_id)
        self._provisioner.starts.arrived(function_id, (slot.instance.instance_id for slot in slots))
        self._provisioner.newest.keep_promise(function)
        self._provisioner.newest.roll_out(function)
        waiting = self._requests.hand_over(function)
        if waiting:
            error = self._provisioner.see_to(function, waiting)
            if error is not None:
                self._requests.fail(function_id, error)

    def _place_came_free(self, function_id: str) -> None:
        if function_id in self._requests.functions:
            function = self._routes.find(function_id)
            if function is not None:
                self._requests.hand_over(function)

    def _rested(self, slot: Slot) -> None:
        places = self._routes.places(slot.instance.function_id)
        if places is not None:
            places.rested(slot)
            self._place_came_free(slot.instance.function_id)
