"""Every port but the VMM, opened."""

from __future__ import annotations

from dataclasses import dataclass

from aether.ports.clock import Clock
from aether.ports.code_store import CodeStore
from aether.ports.function_logs import FunctionLogs
from aether.ports.function_store import FunctionStore
from aether.ports.invocation_log import InvocationLog
from aether.ports.job_queue import JobQueue
from aether.ports.notifications import Notifications
from aether.ports.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerStores:
    """What a controller needs."""

    registry: Registry
    jobs: JobQueue
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStores(ControllerStores):
    """What a worker needs."""

    code: CodeStore
    notifications: Notifications
    logs: FunctionLogs


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores(WorkerStores):
    """What a gateway needs, and `aether up`."""

    functions: FunctionStore
    invocations: InvocationLog
