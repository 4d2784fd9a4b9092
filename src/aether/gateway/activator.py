"""Requests that no instance can take yet.

One bounded queue per function, first in first out. Whenever an instance appears or one of its
requests ends, the longest waiting request gets it. Starts follow demand: N waiting requests at
hard concurrency C want ceil(N / C) instances, up to the function's limit; what is on its way counts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from aether.domain.deadline import Deadline
from aether.domain.errors import (
    AetherError,
    DeadlineExceeded,
    FunctionNotFound,
    InstanceFailed,
    NoCapacity,
    NoCode,
    OverLimit,
    QueueFull,
)
from aether.domain.function import FunctionConfig
from aether.domain.job import JobReply
from aether.gateway.backoff import Backoff
from aether.gateway.routes import RouteTable, Slot
from aether.gateway.starts import Starts
from aether.ports.clock import Clock
from aether.ports.job_queue import JobQueue

log = structlog.get_logger()

MAX_WAITING = 10_000
LOOK_AGAIN_S = 1.0
"""How often those who wait are looked at although nothing has happened, and how long after a worker
said that it is full none is asked for the same function: heartbeats tell of room once a second."""

Waiters = deque[asyncio.Future[Slot]]


@dataclass(frozen=True, slots=True)
class Grant:
    """An instance with a place for the request, and what it took to have it."""

    slot: Slot
    cold: bool
    phases: Mapping[str, float]
    """Milliseconds; `queue` always, and those of the start for a cold one."""


class Activator:
    """Owned by a gateway; `run` has to be running for anything to be granted."""

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
        self._max_waiting = max_waiting
        self._waiting = 0
        self._queues: dict[str, Waiters] = {}
        self._full_until_s: dict[str, float] = {}
        self._short: dict[str, int] = {}
        self.room_can_be_made: Callable[[FunctionConfig], bool] = lambda _function: False
        """Whether idle instances leave for one of that function; the controller knows, and sees to it."""
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._backoff = Backoff(clock)
        self._starts = Starts(
            jobs,
            clock,
            reply_to=f"gateway:{gateway_id}:replies",
            changed=self.changed,
            started=self._start_worked,
            failed=self._start_failed,
            refused=self._fail,
        )
        routes.on_change = self.changed

    # What the edge asks

    def idle(self, function_id: str) -> bool:
        """Nobody waits: whoever comes now need not queue."""
        return function_id not in self._queues

    async def acquire(self, function: FunctionConfig, deadline: Deadline) -> Grant:
        """Wait for a place.

        Raises OverLimit, QueueFull, NoCapacity, InstanceFailed (the start failed; console in the
        hint), FunctionNotFound (deleted meanwhile), DeadlineExceeded.
        """
        self._check_bounds(function)
        began_s = self._clock.monotonic()
        waiters = self._queues.setdefault(function.id, deque())
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        self._waiting += 1
        self.changed(function.id)
        try:
            async with asyncio.timeout(deadline.remaining_s(began_s)):
                slot = await waiter
        except (TimeoutError, asyncio.CancelledError) as ended:
            # It may have been granted in the very turn of the loop in which the wait ended.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            if isinstance(ended, asyncio.CancelledError):
                raise
            phase = "boot" if self._starts.count(function.id) else "queue"
            raise DeadlineExceeded(
                f"no instance of {function.name} was ready before the deadline (phase: {phase})"
            ) from None
        finally:
            self._waiting -= 1
            self._leave(function.id, waiter)
        return self._grant(slot, began_s)

    def release(self, slot: Slot) -> None:
        """A request that was granted has ended."""
        slot.in_flight -= 1
        if slot.instance.function_id in self._queues:
            self.changed(slot.instance.function_id)

    # What the controller asks

    def waiting(self, function_id: str) -> int:
        return len(self._queues.get(function_id, ()))

    def starting(self, function: FunctionConfig) -> int:
        """Instances of the version that serves now, on their way."""
        return self._starts.count(function.id, self._routes.serving(function).revision)

    def missing_room(self) -> Mapping[str, int]:
        """Instances that those who wait need and no worker has room for, by function id."""
        return {
            function_id: count for function_id, count in self._short.items() if function_id in self._queues
        }

    def start(self, function: FunctionConfig, count: int) -> bool:
        """Ask for `count` instances of the version that serves now, ahead of any request.

        Of one that keeps failing none, until some time has passed: False then.
        """
        if self._backoff.holds(function.id, self._routes.serving(function).revision):
            return False
        self._ask(function, count)
        return True

    def start_newest(self, function: FunctionConfig) -> None:
        """See to it that an instance of the newest version is there or on its way, whatever failed before.

        Raises NoCode, NoCapacity.
        """
        if not function.version.code_sha256:
            raise NoCode(f"{function.name} has no code yet")
        present = any(s.serves(function.version.revision) for s in self._routes.slots(function.id))
        if present or self._starts.count(function.id, function.version.revision):
            return
        if not self._routes.has_room(function.version.memory_mb):
            raise self._no_capacity(function)
        self._routes.rollouts.tried_again(function.id)
        self.try_again(function)

    def try_again(self, function: FunctionConfig) -> None:
        """Start the newest version although it failed before: it may have been bad luck."""
        self._starts.ask(function, function.version)

    # How it works

    def changed(self, function_id: str) -> None:
        """Something happened that may let a request go on, or want a start."""
        self._dirty.add(function_id)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._starts.run(), name="starts")
            group.create_task(self._look_again(), name="waiting requests")
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._dirty:
                    self._plan(self._dirty.pop())

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            now_s = self._clock.monotonic()
            self._full_until_s = {f: until_s for f, until_s in self._full_until_s.items() if until_s > now_s}
            for function_id in self._queues:
                self.changed(function_id)

    def _check_bounds(self, function: FunctionConfig) -> None:
        waiting = self.waiting(function.id)
        if waiting >= function.limits.max_waiting:
            raise OverLimit(
                f"{waiting} requests already wait for {function.name}",
                hint="raise max_waiting or max_instances of the function, or call it less",
            )
        if self._waiting >= self._max_waiting:
            raise QueueFull(f"{self._waiting} requests already wait at this gateway", hint="try again later")

    def _leave(self, function_id: str, waiter: asyncio.Future[Slot]) -> None:
        waiters = self._queues.get(function_id)
        if waiters is None:
            return
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            del self._queues[function_id]

    def _grant(self, slot: Slot, began_s: float) -> Grant:
        """`queue` is what the wait took beyond the start itself."""
        waited_ms = (self._clock.monotonic() - began_s) * 1000
        start = self._starts.phases_since(slot.instance.instance_id, began_s)
        if start is None:
            return Grant(slot, cold=False, phases={"queue": waited_ms})
        return Grant(slot, cold=True, phases={"queue": max(0.0, waited_ms - sum(start.values())), **start})

    def _plan(self, function_id: str) -> None:
        function = self._routes.find(function_id)
        if function is None:
            self._backoff.forget(function_id)
            self._short.pop(function_id, None)
            self._fail(function_id, FunctionNotFound("the function was deleted while the request waited"))
            return
        self._starts.arrived(function_id, (s.instance.instance_id for s in self._routes.slots(function_id)))
        waiters = self._queues.get(function_id)
        if waiters is not None:
            self._hand_over(function, waiters)
            self._ask_for_waiting(function, len(waiters))

    def _hand_over(self, function: FunctionConfig, waiters: Waiters) -> None:
        while waiters:
            if not waiters[0].done():
                slot = self._routes.pick(function)
                if slot is None:
                    return
                waiters[0].set_result(slot)
            waiters.popleft()

    def _ask_for_waiting(self, function: FunctionConfig, waiting: int) -> None:
        starting = self.starting(function)
        ready = self._routes.ready(function)
        wanted = -(-waiting // function.limits.max_concurrency)
        missing = min(wanted, function.limits.max_instances - ready) - starting
        self._short.pop(function.id, None)
        if missing <= 0:
            return
        full = self._full_until_s.get(function.id, 0.0) > self._clock.monotonic()
        if not full and self._routes.has_room(self._routes.serving(function).memory_mb):
            self._ask(function, missing)
            return
        self._short[function.id] = missing
        if not self.room_can_be_made(function) and not ready and not starting:
            self._fail(function.id, self._no_capacity(function))

    def _ask(self, function: FunctionConfig, count: int) -> None:
        for _ in range(count):
            self._starts.ask(function, self._routes.serving(function))

    def _no_capacity(self, function: FunctionConfig) -> NoCapacity:
        if not self._routes.workers:
            return NoCapacity("no worker is there to start an instance", hint="start a worker")
        if all(worker.draining for worker in self._routes.workers.values()):
            return NoCapacity("every worker drains, and starts nothing any more", hint="start a worker")
        need = self._routes.serving(function).memory_mb
        return NoCapacity(
            f"no worker has {need} MiB free for an instance of {function.name}",
            hint="add a worker, or lower memory_mb of the function",
        )

    def _start_worked(self, reply: JobReply) -> None:
        self._backoff.forget(reply.function_id)
        self._routes.rollouts.started(reply)

    def _start_failed(self, reply: JobReply) -> None:
        """Those who wait are told, unless something else can serve them: the last good version, say."""
        function = self._routes.find(reply.function_id)
        if function is None:
            return
        log.warning("start failed", function=function.name, revision=reply.revision, reason=reply.error)
        if not reply.capacity:
            self._backoff.failed(function.id, reply.revision)
            self._routes.rollouts.failed(function, reply)
        if reply.revision != self._routes.serving(function).revision:
            return
        if reply.capacity:
            self._full_until_s[function.id] = self._clock.monotonic() + LOOK_AGAIN_S
        if self._routes.ready(function) or self.starting(function):
            return
        if reply.capacity:
            self._short[function.id] = 1
            if not self.room_can_be_made(function):
                self._fail(function.id, NoCapacity(reply.error))
        else:
            error = f"{function.name} did not start: {reply.error}"
            self._fail(
                function.id, InstanceFailed(error, hint=reply.console_tail or None, component="worker")
            )

    def _fail(self, function_id: str, error: AetherError) -> None:
        for waiter in self._queues.get(function_id, ()):
            if not waiter.done():
                waiter.set_exception(error)
