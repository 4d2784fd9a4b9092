"""From a job to a machine whose function can take requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from aether.domain.deadline import Deadline
from aether.domain.errors import InstanceFailed, NoCapacity
from aether.domain.function import Limits
from aether.domain.job import ProvisionJob
from aether.ports.vmm import BootFailed, Machine, MachineSpec, Runtime
from aether.worker.health import get_well
from aether.worker.host import Host
from aether.worker.output import to_logs
from aether.worker.side_by_side import one_ended, side_by_side


class Start:
    """Of one instance; its time runs from here on."""

    def __init__(self, host: Host, job: ProvisionJob, instance_id: str, limits: Callable[[], Limits]) -> None:
        self._host = host
        self._job = job
        self._id = instance_id
        self._limits = limits
        self._asked_at_s = host.clock.monotonic()
        self._deadline = Deadline.after(job.remaining_ms / 1000, self._asked_at_s)

    async def run(self, starts: asyncio.Semaphore, given_up: asyncio.Event) -> Machine:
        """When `starts` allows. Raises NoCapacity when it is given up: that says nothing about the code.

        Raises AetherError as told by the driver, the code cache and the function's health.
        """
        async with side_by_side(self._in_turn(starts), given_up.wait()) as (start, gone):
            await one_ended(start, gone)
            if start.done():
                return start.result()
            raise NoCapacity("the start was given up: the worker, the function or its version is going")

    async def _in_turn(self, starts: asyncio.Semaphore) -> Machine:
        runtime, image = await self._needed()
        async with starts:
            turn_at_s = self._host.clock.monotonic()
            if self._deadline.expired(turn_at_s):
                raise NoCapacity("the start's time was up before its turn came", component="worker")
            try:
                return await self._until_well(runtime, image)
            except BootFailed as error:
                if self._had_no_time(turn_at_s):
                    left_s = self._deadline.remaining_s(turn_at_s)
                    message = f"the start had only {left_s:.1f} s left when its turn came: {error.message}"
                    raise NoCapacity(message, component="worker") from error
                raise

    def _had_no_time(self, turn_at_s: float) -> bool:
        """It failed for want of time, most of which it had waited: another may fare better."""
        waited_s = turn_at_s - self._asked_at_s
        expired = self._deadline.expired(self._host.clock.monotonic())
        return expired and self._deadline.remaining_s(turn_at_s) < waited_s

    async def _until_well(self, runtime: Runtime, image: Path) -> Machine:
        machine = await self._boot(runtime, image)
        try:
            await self._get_well(machine)
        except BaseException:
            await asyncio.shield(self._host.vmm.stop(machine))
            raise
        return machine

    async def _needed(self) -> tuple[Runtime, Path]:
        """The runtime, and the code. That may have to come first, which takes no turn from others."""
        job, host = self._job, self._host
        runtime = host.runtimes.get(job.runtime)
        if runtime is None:
            raise InstanceFailed(f"worker {host.worker_id} has no runtime {job.runtime}", component="worker")
        asked_at_s = host.clock.monotonic()
        image = await host.code.image(job.function_id, job.code_sha256, self._id)
        now_s = host.clock.monotonic()
        if self._deadline.expired(now_s):
            message = f"the code took {now_s - asked_at_s:.1f} s to come: the start's time was up by then"
            raise NoCapacity(message, component="worker")
        return runtime, image

    async def _boot(self, runtime: Runtime, image: Path) -> Machine:
        on_log = to_logs(self._host.logs, self._job.function_id, self._id)
        return await self._host.vmm.boot(self._spec(runtime, image), self._deadline, on_log)

    async def _get_well(self, machine: Machine) -> None:
        """Its port listens; where the function has a health path, that decides."""
        path = self._limits().health_path
        if path:
            within_s = self._deadline.remaining_s(self._host.clock.monotonic())
            await get_well(self._host.vmm, machine, path, within_s)

    def _spec(self, runtime: Runtime, image: Path) -> MachineSpec:
        job = self._job
        return MachineSpec(
            instance_id=self._id,
            function_id=job.function_id,
            runtime=runtime,
            code=image,
            entrypoint=job.entrypoint or runtime.default_entrypoint,
            port=job.port,
            vcpu=job.vcpu,
            memory_mib=job.memory_mb,
            env=job.env_vars,
        )
