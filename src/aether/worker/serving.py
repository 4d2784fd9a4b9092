"""One machine behind its proxy: serving, draining, failing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import structlog

from aether.domain.function import Limits
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.job import ProvisionJob
from aether.domain.last_words import last_words
from aether.ports.vmm import EndReason, Machine
from aether.worker.crash_loops import LIVED_LONG_S, CrashLoops
from aether.worker.drain import STOP_GRACE_S, Drain
from aether.worker.ends import in_words
from aether.worker.health import Health
from aether.worker.host import Host
from aether.worker.instance_proxy import InstanceProxy
from aether.worker.side_by_side import one_ended, side_by_side

log = structlog.get_logger()

BROKEN_S = 5.0
"""What the requests of a machine that has ended get to be told so."""

Register = Callable[[], Awaitable[bool]]


class Serving:
    """Of an instance; `run` returns when it serves no more."""

    def __init__(
        self,
        host: Host,
        machine: Machine,
        proxy: InstanceProxy,
        *,
        job: ProvisionJob,
        drain: Drain,
        limits: Callable[[], Limits],
        crash_loops: CrashLoops,
    ) -> None:
        self._host = host
        self._machine = machine
        self._proxy = proxy
        self._job = job
        self._drain = drain
        self._limits = limits
        self._crash_loops = crash_loops
        self._log = log.bind(function=job.function_id, instance=machine.spec.instance_id)
        self.grace_s = 0.0
        """What its function has still."""
        self.stays = False
        """It serves no more here, and its machine is for the worker's next process."""

    async def run(self, record: Instance, register: Register) -> None:
        """Serve until asked to go or in doubt, then drain; over both, see whether the instance fails.

        `register` shows it to gateways; False where it is not to be shown at all.
        """
        health = Health(self._host.vmm, self._machine, self._proxy.signs, self._limits, self._host.clock)
        serving = self._serve_and_drain(record, register)
        with self._timed_life():
            async with side_by_side(self._until_failed(health), serving) as (failing, served):
                await one_ended(failing, served)
                if failing.done():
                    await self._fail(record, failing.result())
                else:
                    served.result()

    @contextmanager
    def _timed_life(self) -> Iterator[None]:
        """An instance that lives for long ends what was counted for a crash loop."""
        timer = asyncio.get_running_loop().call_later(LIVED_LONG_S, self._crash_loops.fared_well, self._job)
        try:
            yield
        finally:
            timer.cancel()

    async def _until_failed(self, health: Health) -> str:
        """Why the instance can serve no more; '' where we ended it ourselves."""
        async with side_by_side(self._machine.ended(), health.until_unwell()) as (ended, unwell):
            try:
                await one_ended(ended, unwell)
            finally:
                self._proxy.refuse_new()
            if not ended.done():
                return unwell.result()
            end = ended.result()
            return "" if end.reason is EndReason.STOPPED else in_words(end)

    async def _fail(self, record: Instance, why: str) -> None:
        """Tell of it before anybody misses the instance; then what runs on it gets why as its answer."""
        self.stays = False
        if why:
            self._proxy.condemn(why)
            await self._tell_failure(why)
        # Its proxy stays for as long as gateways keep idle connections to it: none is to count on it.
        await self._host.lease.put_instance(replace(record, status=InstanceStatus.DRAINING))
        await self._host.vmm.stop(self._machine)
        await self._proxy.finish(BROKEN_S)

    async def _tell_failure(self, why: str) -> None:
        tail = last_words(self._host.vmm.console(self._machine.spec.instance_id))
        self._log.warning("instance failed", reason=why)
        await self._crash_loops.failed(self._job, why, tail, answers=self._proxy.signs.answers)

    async def _serve_and_drain(self, record: Instance, register: Register) -> None:
        async with side_by_side(self._drain.asked.wait(), self._shown(register)) as (asked, refused):
            await one_ended(asked, refused, self._proxy.doubts.first)
            if refused.done():
                refused.result()
                return
        if not self._drain.asked.is_set():
            await self._doubt()
        else:
            self._crash_loops.fared_well(self._job)
        self.stays = self._drain.leaves_machine
        until = self._host.clock.now() + timedelta(seconds=self._drain.remaining_s())
        record = replace(record, status=InstanceStatus.DRAINING, drain_until=until, restarting=self.stays)
        await self._host.lease.put_instance(record)
        self._proxy.refuse_new()
        await self._drain.limit(self._proxy.finish)
        self.grace_s = min(STOP_GRACE_S, self._drain.grace_s())

    async def _shown(self, register: Register) -> None:
        """Returns when it turned out that it is not to be."""
        if await register():
            self._log.info("instance ready", **{k: round(v) for k, v in self._machine.phases.items()})
            await asyncio.Event().wait()

    async def _doubt(self) -> None:
        doubt = self._proxy.doubts.first.result()
        self._drain.begin(self._limits().drain_timeout_s, STOP_GRACE_S)
        if doubt.fault:
            await self._tell_failure(doubt.reason)
        else:
            self._log.warning("instance replaced", reason=doubt.reason)
