"""The JSON that the API gives of what runs functions: shapes by the wire contract, with additions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel

from aether.domain.gateway import GatewayRecord
from aether.domain.worker import Worker
from aether.ports.vmm import Runtime


class FailuresView(BaseModel):
    """Instances of a function that were ready and ended by themselves, one after the other."""

    revision: int
    in_a_row: int
    ago_s: float
    reason: str
    console_tail: str


class WorkerView(BaseModel):
    id: str
    hostname: str
    public_ip: str
    total_cpu: int
    total_mem: int
    version: str
    last_heartbeat: datetime
    free_mem: int
    free_slots: int
    load: int
    runtimes: list[str]
    draining: bool
    instances: int
    """How many it runs."""
    starting: int
    short_of: int
    """Bytes that its host wants back before anything is started there again."""
    instance_overhead: int
    """Bytes that an instance takes there beside its `memory_mb`."""
    max_instances: int
    """0 for as many as its memory allows."""
    limits: str
    """`cgroup v2`, `cgroup v1`, or `none` where nothing holds instances to their share."""
    vmm: str
    accel: str
    failures: dict[str, FailuresView]
    """By function id: what crash loops are told by."""
    unreachable: dict[str, str]
    """By gateway id: why that one can't reach it. Empty where all can."""

    @classmethod
    def of(cls, worker: Worker, gateways: Iterable[GatewayRecord] = ()) -> WorkerView:
        counts = {"instances": len(worker.instances), "starting": sum(worker.starting.values())}
        unreachable = {g.id: g.unreachable[worker.id] for g in gateways if worker.id in g.unreachable}
        more = {"runtimes": list(worker.runtimes), "unreachable": unreachable}
        return cls(**(asdict(worker) | more | counts))


class DrainView(BaseModel):
    id: str
    draining: bool


class RuntimeView(BaseModel):
    name: str
    default_entrypoint: str
    command: list[str]
    digest: str

    @classmethod
    def of(cls, runtime: Runtime) -> RuntimeView:
        return cls(
            name=runtime.name,
            default_entrypoint=runtime.default_entrypoint,
            command=list(runtime.command),
            digest=runtime.digest,
        )


class HealthView(BaseModel):
    status: str
