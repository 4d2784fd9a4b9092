"""Requests that no instance can take yet, and the starts asked for them.

One bounded queue per function, first in first out. Whenever an instance appears or one of its
requests ends, the longest waiting request gets it. Starts follow demand: N waiting requests at
hard concurrency C want ceil(N / C) instances, up to the function's limit; what is on its way counts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from aether.domain.deadline import Deadline
from aether.domain.errors import (
    AetherError,
    DeadlineExceeded,
    FunctionNotFound,
    InstanceFailed,
    NoCapacity,
    OverLimit,
    QueueFull,
    StoreUnavailable,
)
from aether.domain.function import FunctionConfig
from aether.domain.ids import new_id
from aether.domain.job import JobReply, ProvisionJob
from aether.gateway.routes import RouteTable, Slot
from aether.ports.clock import Clock
from aether.ports.job_queue import JobQueue

log = structlog.get_logger()

START_BUDGET_S = 60.0
"""A start may outlast the request that caused it: the next one wants the instance too."""
SEEN_AFTER_REPLY_S = 5.0
"""An instance that was replied but does not show up in the registry for so long is not coming."""
MAX_WAITING = 10_000


@dataclass(frozen=True, slots=True)
class Grant:
    """An instance with a place for the request, and what it took to have it."""

    slot: Slot
    cold: bool
    phases: Mapping[str, float]
    """Milliseconds; `queue` always, and those of the start for a cold one."""


@dataclass(slots=True)
class _Start:
    revision: int
    expires_at_s: float
    instance_id: str | None = None
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Queue:
    waiters: deque[asyncio.Future[Slot]] = field(default_factory=deque)
    starts: dict[str, _Start] = field(default_factory=dict)


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
        self._jobs = jobs
        self._clock = clock
        self._reply_to = f"gateway:{gateway_id}:replies"
        self._max_waiting = max_waiting
        self._waiting = 0
        self._queues: dict[str, _Queue] = {}
        self._phases: dict[str, Mapping[str, float]] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._outbox: deque[ProvisionJob] = deque()
        routes.on_change = self.changed

    # What the edge asks

    def idle(self, function_id: str) -> bool:
        """Nobody waits: whoever comes now need not queue."""
        queue = self._queues.get(function_id)
        return queue is None or not queue.waiters

    async def acquire(self, function: FunctionConfig, deadline: Deadline) -> Grant:
        """Wait for a place.

        Raises OverLimit, QueueFull, NoCapacity, InstanceFailed (the start failed; console in the
        hint), FunctionNotFound (deleted meanwhile), DeadlineExceeded.
        """
        queue = self._queues.setdefault(function.id, _Queue())
        if len(queue.waiters) >= function.limits.max_waiting:
            raise OverLimit(
                f"{len(queue.waiters)} requests already wait for {function.name}",
                hint="raise max_waiting or max_instances of the function, or call it less",
            )
        if self._waiting >= self._max_waiting:
            raise QueueFull(f"{self._waiting} requests already wait at this gateway", hint="try again later")
        began_s = self._clock.monotonic()
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        queue.waiters.append(waiter)
        self._waiting += 1
        self.changed(function.id)
        try:
            async with asyncio.timeout(deadline.remaining_s(began_s)):
                slot = await waiter
        except TimeoutError:
            phase = "boot" if queue.starts else "queue"
            raise DeadlineExceeded(
                f"no instance of {function.name} was ready before the deadline (phase: {phase})"
            ) from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            raise
        finally:
            self._waiting -= 1
            if waiter in queue.waiters:
                queue.waiters.remove(waiter)
        phases = self._phases.pop(slot.instance.instance_id, None)
        waited_ms = (self._clock.monotonic() - began_s) * 1000
        return Grant(slot, cold=phases is not None, phases=self._told(waited_ms, phases))

    @staticmethod
    def _told(waited_ms: float, start: Mapping[str, float] | None) -> Mapping[str, float]:
        """`queue` is what the wait took beyond the start itself."""
        if start is None:
            return {"queue": waited_ms}
        return {"queue": max(0.0, waited_ms - sum(start.values())), **start}

    def release(self, slot: Slot) -> None:
        """A request that was granted has ended."""
        slot.in_flight -= 1
        queue = self._queues.get(slot.instance.function_id)
        if queue is not None and queue.waiters:
            self.changed(slot.instance.function_id)

    # What the controller asks

    def waiting(self, function_id: str) -> int:
        queue = self._queues.get(function_id)
        return len(queue.waiters) if queue else 0

    def starting(self, function_id: str) -> int:
        queue = self._queues.get(function_id)
        return len(queue.starts) if queue else 0

    def start(self, function: FunctionConfig, count: int) -> None:
        """Ask for `count` instances of the version that serves now, ahead of any request."""
        queue = self._queues.setdefault(function.id, _Queue())
        for _ in range(count):
            self._ask(function, queue)
        self._wake.set()

    def try_again(self, function: FunctionConfig) -> None:
        """Start the newest version although it failed before: it may have been bad luck."""
        queue = self._queues.setdefault(function.id, _Queue())
        self._ask(function, queue, newest=True)
        self._wake.set()

    # How it works

    def changed(self, function_id: str) -> None:
        """Something happened that may let a request go on, or want a start."""
        self._dirty.add(function_id)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._plan_and_submit(), name="activator")
            group.create_task(self._listen(), name="activator replies")
            group.create_task(self._expire(), name="activator expiry")

    async def _plan_and_submit(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._dirty:
                self._plan(self._dirty.pop())
            while self._outbox:
                job = self._outbox.popleft()
                try:
                    await self._jobs.submit(job)
                except StoreUnavailable as error:
                    self._fail(job.function_id, error)

    async def _listen(self) -> None:
        async with aclosing(self._jobs.replies(self._reply_to)) as replies:
            async for reply in replies:
                self._hear(reply)

    async def _expire(self) -> None:
        """A start whose worker died is forgotten when its time is up, and asked for again."""
        while True:
            await asyncio.sleep(1.0)
            now_s = self._clock.monotonic()
            for function_id, queue in list(self._queues.items()):
                late = [r for r, start in queue.starts.items() if start.expires_at_s <= now_s]
                for request_id in late:
                    del queue.starts[request_id]
                if late:
                    self.changed(function_id)
                if not queue.starts and not queue.waiters and self._routes.find(function_id) is None:
                    del self._queues[function_id]

    def _plan(self, function_id: str) -> None:
        queue = self._queues.get(function_id)
        if queue is None:
            return
        function = self._routes.find(function_id)
        if function is None:
            self._fail(function_id, FunctionNotFound("the function was deleted while the request waited"))
            return
        present = {slot.instance.instance_id for slot in self._routes.slots(function_id)}
        for request_id, start in list(queue.starts.items()):
            if start.instance_id in present:
                del queue.starts[request_id]
        self._hand_over(function, queue)
        self._ask_for_waiting(function, queue)

    def _hand_over(self, function: FunctionConfig, queue: _Queue) -> None:
        while queue.waiters:
            if queue.waiters[0].done():
                queue.waiters.popleft()
                continue
            slot = self._routes.pick(function)
            if slot is None:
                return
            queue.waiters.popleft().set_result(slot)

    def _ask_for_waiting(self, function: FunctionConfig, queue: _Queue) -> None:
        wanted = -(-len(queue.waiters) // function.limits.max_concurrency)
        ready = self._routes.ready(function)
        room = function.limits.max_instances - ready - len(queue.starts)
        missing = min(wanted - len(queue.starts), room)
        if missing <= 0:
            return
        if not self._routes.has_room(self._routes.serving(function).memory_mb):
            if not ready and not queue.starts:
                self._fail(function.id, self._no_capacity(function))
            return
        for _ in range(missing):
            self._ask(function, queue)

    def _no_capacity(self, function: FunctionConfig) -> NoCapacity:
        if not self._routes.workers:
            return NoCapacity("no worker is there to start an instance", hint="start a worker")
        need = self._routes.serving(function).memory_mb
        return NoCapacity(
            f"no worker has {need} MiB free for an instance of {function.name}",
            hint="add a worker, or lower memory_mb of the function",
        )

    def _ask(self, function: FunctionConfig, queue: _Queue, *, newest: bool = False) -> None:
        version = function.version if newest else self._routes.serving(function)
        request_id = new_id("req")
        queue.starts[request_id] = _Start(version.revision, self._clock.monotonic() + START_BUDGET_S)
        self._outbox.append(
            ProvisionJob(
                request_id=request_id,
                function_id=function.id,
                runtime=version.runtime,
                entrypoint=version.entrypoint,
                vcpu=version.vcpu,
                memory_mb=version.memory_mb,
                port=version.port,
                env_vars=version.env_vars,
                code_sha256=version.code_sha256,
                remaining_ms=int(START_BUDGET_S * 1000),
                reply_to=self._reply_to,
                revision=version.revision,
            )
        )

    def _hear(self, reply: JobReply) -> None:
        queue = self._queues.get(reply.function_id)
        start = queue.starts.get(reply.request_id) if queue else None
        if queue is None or start is None:
            return
        if reply.instance_id is not None:
            start.instance_id = reply.instance_id
            start.expires_at_s = self._clock.monotonic() + SEEN_AFTER_REPLY_S
            self._remember_phases(reply)
        else:
            del queue.starts[reply.request_id]
            self._start_failed(reply, queue)
        self.changed(reply.function_id)

    def _remember_phases(self, reply: JobReply) -> None:
        self._phases[reply.instance_id or ""] = reply.phases
        while len(self._phases) > MAX_WAITING:
            del self._phases[next(iter(self._phases))]

    def _start_failed(self, reply: JobReply, queue: _Queue) -> None:
        function = self._routes.find(reply.function_id)
        if function is None:
            return
        log.warning(
            "start failed",
            function=function.name,
            revision=reply.revision,
            reason=reply.error,
            full=reply.capacity,
        )
        others = self._routes.ready(function) or queue.starts
        if reply.capacity:
            if not others:
                self._fail(function.id, NoCapacity(reply.error))
            return
        newest_failed = reply.revision == function.version.revision
        if newest_failed and function.good is not None and function.good.revision != reply.revision:
            if not self._routes.is_broken(function):
                log.warning("the last good version goes on serving", function=function.name)
                self._routes.mark_broken(function)
            return
        if not others and reply.revision == self._routes.serving(function).revision:
            self._fail(
                function.id,
                InstanceFailed(
                    f"{function.name} did not start: {reply.error}",
                    hint=reply.console_tail or None,
                    component="worker",
                ),
            )

    def _fail(self, function_id: str, error: AetherError) -> None:
        queue = self._queues.get(function_id)
        while queue is not None and queue.waiters:
            waiter = queue.waiters.popleft()
            if not waiter.done():
                waiter.set_exception(error)
