"""What a worker says of itself, every second and whenever there is news."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aether import __version__
from aether.domain.worker import Failures, Worker
from aether.worker.capacity import Capacity
from aether.worker.host import Host
from aether.worker.instance import RunningInstance


@dataclass(slots=True)
class Shown:
    """What a worker's record says of it as a process; nothing of one that shares its process."""

    home: str = ""
    port: int = 0
    restarting: bool = False


def worker_record(
    host: Host,
    capacity: Capacity,
    instances: Sequence[RunningInstance],
    *,
    draining: bool,
    failures: Mapping[str, Failures],
    failed_starts: Mapping[str, Failures],
    shown: Shown,
) -> Worker:
    """How things are now."""
    loads = {i.id: i.load() for i in instances if i.ready}
    room = capacity.look()
    starting = Counter(i.job.function_id for i in instances if not i.ready)
    return Worker(
        id=host.worker_id,
        hostname=socket.gethostname(),
        public_ip=host.ip,
        total_cpu=os.cpu_count() or 1,
        total_mem=room.total,
        version=__version__,
        last_heartbeat=host.clock.now(),
        free_mem=room.free,
        free_slots=room.slots,
        load=sum(load.in_flight for load in loads.values()),
        runtimes=tuple(sorted(host.runtimes)),
        draining=draining,
        instances=loads,
        starting=dict(starting),
        failures=failures,
        failed_starts=failed_starts,
        short_of=room.short_of,
        instance_overhead=capacity.overhead,
        max_instances=room.max_instances,
        limits=host.vmm.limits,
        vmm=host.vmm.name,
        accel=host.vmm.accel,
        port=shown.port,
        home=shown.home,
        restarting=shown.restarting,
    )
