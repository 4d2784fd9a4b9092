"""One instance, from a job, or from an earlier process of this worker, to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from aether.domain.errors import AetherError
from aether.domain.function import Limits
from aether.domain.instance import Instance
from aether.domain.job import ProvisionJob
from aether.domain.worker import InstanceLoad
from aether.ports.vmm import Machine
from aether.worker.answering import Part
from aether.worker.crash_loops import CrashLoops
from aether.worker.drain import STOP_GRACE_S, Drain
from aether.worker.host import Host
from aether.worker.instance_proxy import InstanceProxy
from aether.worker.kept import Kept
from aether.worker.records import failed, instance_record, started
from aether.worker.serving import Serving
from aether.worker.start import Start

log = structlog.get_logger()

BUSY_S = 10.0
"""Called within so long."""

Register = Callable[[Instance], Awaitable[bool]]
"""Shows an instance to gateways; False where it is not to be shown."""


class RunningInstance:
    """`run` or `run_adopted` is its whole life; `drain` asks it to end when its requests have."""

    def __init__(
        self,
        host: Host,
        job: ProvisionJob,
        instance_id: str,
        limits: Callable[[], Limits],
        crash_loops: CrashLoops,
        *,
        adopted: bool = False,
    ) -> None:
        self.id = instance_id
        self.job = job
        self._host = host
        self._limits = limits
        self._crash_loops = crash_loops
        self._proxy: InstanceProxy | None = None
        self.first_for = ""
        """The request that it is the first instance of, once gateways know of it."""
        self._adopted = adopted
        self.left = False
        """Its machine is for the worker's next process."""
        self._drain = Drain(host.clock)
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

    @property
    def busy(self) -> bool:
        """Requests run, or did a moment ago."""
        if self._proxy is None or self._drain.asked.is_set():
            return False
        signs = self._proxy.signs
        return signs.calls > 0 and signs.idle_s(self._host.clock.monotonic()) < BUSY_S

    def drain(self, within_s: float | None = None) -> None:
        """Refuse new requests, let the running ones end, then stop.

        They are cut after `within_s`, or the function's own limit; the sooner one of all that asked.
        `within_s` is all there is; after its own limit the function has `STOP_GRACE_S` to finish.
        """
        if within_s is None:
            self._drain.begin(self._limits().drain_timeout_s, STOP_GRACE_S)
        else:
            self._drain.begin(within_s)

    def leave(self, within_s: float) -> None:
        """Let running requests end, and leave the machine to the worker's next process.

        A start, and an instance that drains already, end.
        """
        if self.ready or self._adopted:
            self._drain.leave(within_s)
        else:
            self._drain.begin(0)

    async def run(self, part: Part, starts: asyncio.Semaphore) -> None:
        """Start when `starts` allows, say how that went, serve until drained or ended, clean up."""
        try:
            start = Start(self._host, self.job, self.id, self._limits)
            machine = await start.run(starts, self._drain.asked)
        except AetherError as error:
            self._log.warning("start failed", reason=error.message)
            await part.failed(failed(self.job, error))
            return

        async def register(record: Instance) -> bool:
            if not await part.held():
                self._host.metrics.twin_ended()
                self._log.warning("the job went to another worker meanwhile: ended", request=part.request_id)
                return False
            self._keep(part.request_id, record)
            await part.started(started(self.job, machine))
            registered = await self._first(record, part.request_id)
            await part.done()
            return registered

        await self._serve(machine, register)

    async def run_adopted(self, machine: Machine, kept: Kept, registered: Callable[[], None]) -> None:
        """Go on where an earlier process was; `registered` is called when gateways know of it again."""

        async def register(record: Instance) -> bool:
            self._keep(kept.request_id, record)
            first = await self._first(record, kept.request_id)
            registered()
            return first

        await self._serve(machine, register, kept)

    async def _first(self, record: Instance, request_id: str) -> bool:
        """Show it to gateways, unless another was started for the same request."""
        first = await self._host.lease.put_first(record, request_id)
        if first == self.id:
            self.first_for = request_id
        else:
            self._host.metrics.twin_ended()
            self._log.warning("another was started for its request: ended", request=request_id, other=first)
        return first == self.id

    def _keep(self, request_id: str, record: Instance) -> None:
        self._host.kept.keep(Kept(self.id, self.job, request_id, record.proxy_port, record.started_at))

    async def _serve(self, machine: Machine, register: Register, kept: Kept | None = None) -> None:
        host = self._host
        proxy = InstanceProxy(
            host.vmm,
            machine,
            self._limits,
            host.clock,
            neighbours=host.neighbours,
            hop=host.hop,
            on_refused=host.metrics.refused,
        )
        serving = Serving(
            host,
            machine,
            proxy,
            job=self.job,
            drain=self._drain,
            limits=self._limits,
            crash_loops=self._crash_loops,
        )
        try:
            first_port = kept.proxy_port if kept is not None else host.ports.take()
            async with proxy.listening(host.ip, first_port) as port:
                if kept is not None or port != first_port:
                    host.ports.begin_after(port)
                self._proxy = proxy
                since = kept.started_at if kept is not None else host.clock.now()
                record = instance_record(host, self.job, machine, port, since)
                await serving.run(record, partial(register, record))
        except asyncio.CancelledError:
            # This process fails: where there is a next one, it has the machine.
            serving.stays = host.kept.keeps and bool(self.first_for)
            raise
        finally:
            self.left = serving.stays
            if not self.left:
                await asyncio.shield(self._end(machine, serving.grace_s))

    async def _end(self, machine: Machine, grace_s: float) -> None:
        """It is in the registry for as long as it takes room here: those who need that wait for it."""
        try:
            await self._host.vmm.stop(machine, grace_s)
        finally:
            self._host.kept.forget(self.id)
            await self._host.lease.remove_instance(self.job.function_id, self.id)
