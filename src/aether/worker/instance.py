"""One instance, from a job to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from aether.domain.deadline import Deadline
from aether.domain.errors import AetherError, DiskFull, InstanceFailed, NoCapacity, StoreUnavailable
from aether.domain.function import Limits
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.job import JobReply, ProvisionJob
from aether.domain.worker import InstanceLoad
from aether.http import Neighbours
from aether.ports.clock import Clock
from aether.ports.function_logs import FunctionLogs, LogRecord
from aether.ports.registry import Lease
from aether.ports.vmm import BootFailed, EndReason, LogLine, Machine, MachineSpec, Runtime, Vmm
from aether.worker.code_cache import CodeCache
from aether.worker.instance_proxy import InstanceProxy
from aether.worker.proxy_ports import ProxyPorts

log = structlog.get_logger()

CONSOLE_TAIL_CHARS = 2000

Reply = Callable[[JobReply], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Host:
    """What all instances of a worker share."""

    worker_id: str
    ip: str
    vmm: Vmm
    runtimes: dict[str, Runtime]
    code: CodeCache
    lease: Lease
    logs: FunctionLogs
    clock: Clock
    ports: ProxyPorts = field(default_factory=ProxyPorts)
    neighbours: Neighbours | None = None
    """A gateway of the same process reaches its instances by it."""


class RunningInstance:
    """`run` is its whole life; `drain` asks it to end when its requests have."""

    def __init__(self, host: Host, job: ProvisionJob, instance_id: str, limits: Callable[[], Limits]) -> None:
        self.id = instance_id
        self.job = job
        self._host = host
        self._limits = limits
        self._deadline = Deadline.after(job.remaining_ms / 1000, host.clock.monotonic())
        self._proxy: InstanceProxy | None = None
        self._drain = asyncio.Event()
        self._drain_within_s: float | None = None
        self._log = log.bind(function=job.function_id, instance=instance_id)

    @property
    def ready(self) -> bool:
        return self._proxy is not None

    def load(self) -> InstanceLoad:
        if self._proxy is None:
            return InstanceLoad(self.job.function_id, 0, 0.0)
        idle_s = self._proxy.idle_s(self._host.clock.monotonic())
        return InstanceLoad(self.job.function_id, self._proxy.in_flight, idle_s, self._proxy.calls)

    def drain(self, within_s: float | None = None) -> None:
        """Refuse new requests, let the running ones end (cut after `within_s`), then stop."""
        if within_s is not None:
            self._drain_within_s = within_s
        self._drain.set()

    def _drain_limit_s(self) -> float:
        return self._limits().max_stream_s if self._drain_within_s is None else self._drain_within_s

    async def run(self, reply: Reply, starts: asyncio.Semaphore) -> None:
        """Start when `starts` allows, tell `reply` how that went, serve until drained or ended, clean up."""
        try:
            machine = await self._start_unless_drained(starts)
        except AetherError as error:
            self._log.warning("start failed", reason=error.message)
            await reply(self._failed(error))
            return
        try:
            await self._serve(machine, reply)
        finally:
            await asyncio.shield(self._host.vmm.stop(machine))

    async def _start_unless_drained(self, starts: asyncio.Semaphore) -> Machine:
        """Raises NoCapacity when it is drained meanwhile: that says nothing about the code."""
        start = asyncio.ensure_future(self._start_in_turn(starts))
        drained = asyncio.ensure_future(self._drain.wait())
        try:
            await asyncio.wait({start, drained}, return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                return start.result()
            raise NoCapacity("the start was given up: the worker, the function or its version is going")
        finally:
            start.cancel()
            drained.cancel()
            await asyncio.gather(start, drained, return_exceptions=True)

    async def _start_in_turn(self, starts: asyncio.Semaphore) -> Machine:
        async with starts:
            if self._deadline.expired(self._host.clock.monotonic()):
                raise NoCapacity("the start's time was up before its turn came", component="worker")
            return await self._start()

    async def _start(self) -> Machine:
        job = self.job
        runtime = self._host.runtimes.get(job.runtime)
        if runtime is None:
            raise InstanceFailed(
                f"worker {self._host.worker_id} has no runtime {job.runtime}", component="worker"
            )
        image = await self._host.code.image(job.function_id, job.code_sha256)
        return await self._host.vmm.boot(self._spec(runtime, image), self._deadline, self._on_log)

    def _spec(self, runtime: Runtime, image: Path) -> MachineSpec:
        job = self.job
        return MachineSpec(
            instance_id=self.id,
            function_id=job.function_id,
            runtime=runtime,
            code=image,
            entrypoint=job.entrypoint or runtime.default_entrypoint,
            port=job.port,
            vcpu=job.vcpu,
            memory_mib=job.memory_mb,
            env=job.env_vars,
        )

    def _on_log(self, line: LogLine) -> None:
        self._host.logs.append(
            LogRecord(self.job.function_id, self.id, line.stream, line.text, line.at, line.call_id)
        )

    async def _serve(self, machine: Machine, reply: Reply) -> None:
        proxy = InstanceProxy(self._host.vmm, machine, self._limits, self._host.clock, self._host.neighbours)
        async with proxy.listening(self._host.ip, self._host.ports.next) as port:
            self._host.ports.given(port)
            self._proxy = proxy
            record = self._record(machine, port)
            await reply(self._started(machine))
            try:
                await self._host.lease.put_instance(record)
                self._log.info("instance ready", **{k: round(v) for k, v in machine.phases.items()})
                await self._until_drained_or_ended(machine)
                await self._host.lease.put_instance(replace(record, status=InstanceStatus.DRAINING))
                proxy.refuse_new()
                await proxy.finish(self._drain_limit_s())
            finally:
                await asyncio.shield(self._host.lease.remove_instance(self.job.function_id, self.id))

    async def _until_drained_or_ended(self, machine: Machine) -> None:
        """Raises nothing: an end that nobody asked for is told in the log."""
        drained = asyncio.ensure_future(self._drain.wait())
        ended = asyncio.ensure_future(machine.ended())
        try:
            await asyncio.wait({drained, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done() and ended.result().reason is not EndReason.STOPPED:
                end = ended.result()
                self._log.warning("instance ended", reason=end.reason, detail=end.detail)
        finally:
            drained.cancel()
            ended.cancel()
            await asyncio.gather(drained, ended, return_exceptions=True)

    def _record(self, machine: Machine, port: int) -> Instance:
        return Instance(
            instance_id=self.id,
            function_id=self.job.function_id,
            worker_id=self._host.worker_id,
            host_ip=self._host.ip,
            proxy_port=port,
            internal_ip=machine.internal_ip,
            status=InstanceStatus.READY,
            started_at=self._host.clock.now(),
            revision=self.job.revision or None,
            vmm=self._host.vmm.name,
            accel=self._host.vmm.accel,
        )

    def _started(self, machine: Machine) -> JobReply:
        job = self.job
        return JobReply(job.request_id, job.function_id, job.revision, self.id, phases=machine.phases)

    def _failed(self, error: AetherError) -> JobReply:
        tail = error.console_tail if isinstance(error, BootFailed) else (error.hint or "")
        return JobReply(
            self.job.request_id,
            self.job.function_id,
            self.job.revision,
            None,
            error=error.message,
            console_tail=tail[-CONSOLE_TAIL_CHARS:],
            capacity=isinstance(error, NoCapacity | StoreUnavailable | DiskFull),
        )
