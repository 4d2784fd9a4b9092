"""What all instances of a worker share."""

from __future__ import annotations

from dataclasses import dataclass, field

from aether.http import Neighbours
from aether.ports.clock import Clock
from aether.ports.function_logs import FunctionLogs
from aether.ports.notifications import Notifications
from aether.ports.registry import Lease
from aether.ports.vmm import Runtime, Vmm
from aether.worker.code_cache import CodeCache
from aether.worker.hop import Hop
from aether.worker.kept import KeptInstances
from aether.worker.metrics import WorkerMetrics
from aether.worker.proxy_ports import ProxyPorts


@dataclass(frozen=True, slots=True)
class Host:
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
    hop: Hop | None = None
    """What instances' proxies ask of who connects; None for nothing."""
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)
    kept: KeptInstances = field(default_factory=KeptInstances)
    """What a later process adopts instances by; nothing, where they end with this one."""
    notifications: Notifications | None = None
    """By which foreign gateways tell what they changed; None where there are none."""
