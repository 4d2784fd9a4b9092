"""What is told of an instance: to the registry, and to who asked for it."""

from __future__ import annotations

from datetime import datetime

from aether.domain.errors import AetherError, DiskFull, NoCapacity, StoreUnavailable
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.job import JobReply, ProvisionJob
from aether.domain.last_words import last_words
from aether.ports.vmm import BootFailed, Machine
from aether.worker.host import Host


def instance_record(host: Host, job: ProvisionJob, machine: Machine, port: int, since: datetime) -> Instance:
    """Of one that is ready at `port`."""
    return Instance(
        instance_id=machine.spec.instance_id,
        function_id=job.function_id,
        worker_id=host.worker_id,
        host_ip=host.ip,
        proxy_port=port,
        internal_ip=machine.internal_ip,
        status=InstanceStatus.READY,
        started_at=since,
        revision=job.revision or None,
        vmm=host.vmm.name,
        accel=host.vmm.accel,
        phases=machine.phases,
        tls=host.hop is not None and host.hop.tls is not None,
        keyed=host.hop is not None and host.hop.keyed,
    )


def started(job: ProvisionJob, machine: Machine) -> JobReply:
    instance_id = machine.spec.instance_id
    return JobReply(job.request_id, job.function_id, job.revision, instance_id, phases=machine.phases)


def failed(job: ProvisionJob, error: AetherError) -> JobReply:
    tail = error.console_tail if isinstance(error, BootFailed) else (error.hint or "")
    return JobReply(
        job.request_id,
        job.function_id,
        job.revision,
        None,
        error=error.message,
        console_tail=last_words(tail),
        capacity=isinstance(error, NoCapacity | StoreUnavailable | DiskFull),
    )
