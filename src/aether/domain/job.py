"""A provisioning job: "start `count` instances of this version", and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ProvisionJob:
    """An entry of `queue:vm_provision`; shape by the wire contract."""

    request_id: str
    function_id: str
    runtime: str
    entrypoint: str
    vcpu: int
    memory_mb: int
    port: int
    env_vars: Mapping[str, str]
    code_sha256: str
    """Of the code image. Empty in a foreign gateway's: `code.ext4` is meant, as it is at the start."""
    remaining_ms: int
    """Time left of the deadline of who asked, counted from the moment of queueing."""
    reply_to: str
    revision: int = 0
    count: int = 1
    image_id: str = ""
    trace_context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spare:
    """What a worker could start now: jobs that are anybody's and need more are left to others."""

    memory_mib: int
    overhead_mib: int
    """That an instance takes beside its own memory."""
    instances: int
    runtimes: tuple[str, ...]

    def holds(self, job: ProvisionJob) -> bool:
        needed_mib = job.count * (job.memory_mb + self.overhead_mib)
        there = needed_mib <= self.memory_mib and job.count <= self.instances
        return there and job.runtime in self.runtimes


@dataclass(frozen=True, slots=True)
class JobReply:
    """What a worker tells `reply_to` about one instance of a job."""

    request_id: str
    function_id: str
    revision: int
    instance_id: str | None
    """The instance that registered, or None when the start failed."""
    error: str = ""
    """What happened, in a sentence."""
    console_tail: str = ""
    capacity: bool = False
    """True if the start failed for want of room, or of a store: it says nothing about the code."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds by phase: `boot` or `restore`, `ready`."""
    worker_id: str = ""
    """Who tells; the queue notes it."""
