"""A worker's host: what its instances share, and how much there is of it."""

from __future__ import annotations

from aether.cli.hop_settings import make_hop
from aether.cli.settings import Settings
from aether.cli.stores.opened import WorkerStores
from aether.http import Neighbours
from aether.ports.registry import Lease
from aether.ports.vmm import Runtime, Vmm
from aether.vmm.cgroups import HostMemory
from aether.worker.capacity import Capacity
from aether.worker.code_cache import CodeCache
from aether.worker.host import Host

MB = 1_000_000


def make_capacity(settings: Settings, vmm: Vmm) -> Capacity:
    return Capacity(
        HostMemory(),
        resident=vmm.resident,
        overhead_mib=vmm.overhead_mib,
        max_instances=settings.max_instances,
    )


def make_host(
    settings: Settings,
    stores: WorkerStores,
    *,
    vmm: Vmm,
    runtimes: dict[str, Runtime],
    lease: Lease,
    neighbours: Neighbours | None = None,
) -> Host:
    code = CodeCache(stores.code, settings.data_dir / "code-cache", settings.code_cache_mb * MB)
    code.sweep()
    host = Host(
        worker_id=lease.worker_id,
        ip=str(settings.worker_ip),
        vmm=vmm,
        runtimes=runtimes,
        code=code,
        lease=lease,
        logs=stores.logs,
        clock=stores.clock,
        neighbours=neighbours,
        hop=make_hop(settings, stores.clock),
        notifications=stores.notifications,
    )
    host.metrics.count_dropped_lines(lambda: stores.logs.dropped)
    return host
