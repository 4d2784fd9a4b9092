"""One instance, from a job to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import structlog

from aether.domain.errors import AetherError
from aether.domain.function import Limits
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.job import JobReply, ProvisionJob
from aether.domain.last_words import last_words
from aether.domain.worker import InstanceLoad
from aether.ports.vmm import EndReason, Machine
from aether.worker.crash_loops import LIVED_LONG_S, CrashLoops
from aether.worker.drain import Drain
from aether.worker.ends import in_words
from aether.worker.health import Health
from aether.worker.host import Host
from aether.worker.instance_proxy import InstanceProxy
from aether.worker.records import failed, instance_record, started
from aether.worker.side_by_side import one_ended, side_by_side
from aether.worker.start import Start

log = structlog.get_logger()

STOP_GRACE_S = 3.0
"""From SIGTERM on, for an instance that has no requests any more."""
BROKEN_S = 5.0
"""What the requests of a machine that has ended get to be told so."""

Reply = Callable[[JobReply], Awaitable[None]]


class RunningInstance:
    """`run` is its whole life; `drain` asks it to end when its requests have."""

    def __init__(
        self,
        host: Host,
        job: ProvisionJob,
        instance_id: str,
        limits: Callable[[], Limits],
        crash_loops: CrashLoops,
    ) -> None:
        self.id = instance_id
        self.job = job
        self._host = host
        self._limits = limits
        self._crash_loops = crash_loops
        self._start = Start(host, job, instance_id, limits)
        self._proxy: InstanceProxy | None = None
        self._drain = Drain(host.clock)
        self._grace_s = 0.0
        self._log = log.bind(function=job.function_id, instance=instance_id)

    @property
    def ready(self) -> bool:
        return self._proxy is not None

    def load(self) -> InstanceLoad:
        if self._proxy is None:
            return InstanceLoad(self.job.function_id, 0, 0.0)
        signs = self._proxy.signs
        idle_s = signs.idle_s(self._host.clock.monotonic())
        return InstanceLoad(self.job.function_id, signs.in_flight, idle_s, signs.calls)

    def drain(self, within_s: float | None = None) -> None:
        """Refuse new requests, let the running ones end, then stop.

        They are cut after `within_s`, or the function's own limit; the sooner one of all that asked.
        `within_s` is all there is; after its own limit the function has `STOP_GRACE_S` to finish.
        """
        if within_s is None:
            self._drain.begin(self._limits().drain_timeout_s, STOP_GRACE_S)
        else:
            self._drain.begin(within_s)

    async def run(self, reply: Reply, starts: asyncio.Semaphore) -> None:
        """Start when `starts` allows, tell `reply` how that went, serve until drained or ended, clean up."""
        try:
            machine = await self._start.run(starts, self._drain.asked)
        except AetherError as error:
            self._log.warning("start failed", reason=error.message)
            await reply(failed(self.job, error))
            return
        try:
            await self._serve(machine, reply)
        finally:
            await asyncio.shield(self._end(machine))

    async def _end(self, machine: Machine) -> None:
        """It is in the registry for as long as it takes room here: those who need that wait for it."""
        try:
            await self._host.vmm.stop(machine, self._grace_s)
        finally:
            await self._host.lease.remove_instance(self.job.function_id, self.id)

    async def _serve(self, machine: Machine, reply: Reply) -> None:
        host = self._host
        proxy = InstanceProxy(
            host.vmm, machine, self._limits, host.clock, neighbours=host.neighbours, hop=host.hop
        )
        async with proxy.listening(host.ip, host.ports.next) as port:
            host.ports.given(port)
            self._proxy = proxy
            record = instance_record(host, self.job, machine, port)
            await reply(started(self.job, machine))
            await host.lease.put_instance(record)
            self._log.info("instance ready", **{k: round(v) for k, v in machine.phases.items()})
            with self._timed_life():
                await self._live(machine, proxy, record)

    @contextmanager
    def _timed_life(self) -> Iterator[None]:
        """An instance that lives for long ends what was counted for a crash loop."""
        timer = asyncio.get_running_loop().call_later(LIVED_LONG_S, self._crash_loops.fared_well, self.job)
        try:
            yield
        finally:
            timer.cancel()

    async def _live(self, machine: Machine, proxy: InstanceProxy, record: Instance) -> None:
        """Serve until asked to go or in doubt, then drain; over both, see whether the instance fails."""
        health = Health(self._host.vmm, machine, proxy.signs, self._limits, self._host.clock)
        until_failed = self._until_failed(machine, proxy, health)
        async with side_by_side(until_failed, self._serve_and_drain(proxy, record)) as (failing, serving):
            await one_ended(failing, serving)
            if failing.done():
                await self._fail(machine, proxy, record, failing.result())
            else:
                serving.result()

    async def _until_failed(self, machine: Machine, proxy: InstanceProxy, health: Health) -> str:
        """Why the instance can serve no more; '' where we ended it ourselves."""
        async with side_by_side(machine.ended(), health.until_unwell()) as (ended, unwell):
            try:
                await one_ended(ended, unwell)
            finally:
                proxy.refuse_new()
            if not ended.done():
                return unwell.result()
            end = ended.result()
            return "" if end.reason is EndReason.STOPPED else in_words(end)

    async def _fail(self, machine: Machine, proxy: InstanceProxy, record: Instance, why: str) -> None:
        """Tell of it before anybody misses the instance; then what runs on it gets why as its answer."""
        if why:
            proxy.condemn(why)
            await self._tell_failure(proxy, why)
        # Its proxy stays for as long as gateways keep idle connections to it: none is to count on it.
        await self._host.lease.put_instance(replace(record, status=InstanceStatus.DRAINING))
        await self._host.vmm.stop(machine)
        await proxy.finish(BROKEN_S)

    async def _tell_failure(self, proxy: InstanceProxy, why: str) -> None:
        tail = last_words(self._host.vmm.console(self.id))
        self._log.warning("instance failed", reason=why)
        await self._crash_loops.failed(self.job, why, tail, answers=proxy.signs.answers)

    async def _serve_and_drain(self, proxy: InstanceProxy, record: Instance) -> None:
        asked = asyncio.ensure_future(self._drain.asked.wait())
        try:
            await one_ended(asked, proxy.doubts.first)
        finally:
            asked.cancel()
        if not self._drain.asked.is_set():
            await self._doubt(proxy)
        else:
            self._crash_loops.fared_well(self.job)
        until = self._host.clock.now() + timedelta(seconds=self._drain.remaining_s())
        record = replace(record, status=InstanceStatus.DRAINING, drain_until=until)
        await self._host.lease.put_instance(record)
        proxy.refuse_new()
        await self._drain.limit(proxy.finish)
        self._grace_s = min(STOP_GRACE_S, self._drain.grace_s())

    async def _doubt(self, proxy: InstanceProxy) -> None:
        doubt = proxy.doubts.first.result()
        self.drain()
        if doubt.fault:
            await self._tell_failure(proxy, doubt.reason)
        else:
            self._log.warning("instance replaced", reason=doubt.reason)
