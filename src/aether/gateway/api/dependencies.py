"""What the management API is given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from aether.domain.function import Function
from aether.domain.rollout import Rollout
from aether.gateway.api.changes import FunctionChanges
from aether.gateway.api.status_views import StoreHealth
from aether.gateway.metrics_of_all import MetricsOfAll
from aether.images.archive import ArchiveLimits
from aether.ports.clock import Clock
from aether.ports.code_store import CodeStore
from aether.ports.function_logs import FunctionLogs
from aether.ports.function_store import FunctionStore
from aether.ports.invocation_log import InvocationLog
from aether.ports.notifications import Notifications
from aether.ports.registry import Entry, Registry
from aether.ports.vmm import Runtime


def _always_ready() -> str:
    return ""


async def _no_stores() -> Sequence[StoreHealth]:
    return ()


def _nothing() -> Sequence[Entry]:
    return ()


async def _at_once(_function_id: str) -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDependencies:
    functions: FunctionStore
    code: CodeStore
    invocations: InvocationLog
    logs: FunctionLogs
    registry: Registry
    notifications: Notifications
    clock: Clock
    runtimes: Mapping[str, Runtime]
    """By name, as they are then."""
    work_dir: Path
    """For archives and images while they are made; swept at the start."""
    api_keys: frozenset[str] | None
    """None opens the API to whoever reaches it."""
    rollout: Callable[[Function], Rollout]
    """How the newest version is doing."""
    start: Callable[[Function], None]
    """Asks for an instance of the newest version. Raises NoCode, NoCapacity."""
    rolled_out: Callable[[str], Awaitable[None]] = _at_once
    """Waits until a function's newest version serves, or has failed; at once where no other serves."""
    not_ready: Callable[[], str] = _always_ready
    """Why this gateway should get no traffic; empty when it should."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the gateway begins to stop: what has no end of its own ends."""
    look_at_stores: Callable[[], Awaitable[Sequence[StoreHealth]]] = _no_stores
    """How they are just now; soon told, also by those that don't answer."""
    last_known: Callable[[], Iterable[Entry]] = _nothing
    """What the registry last said, for when it is away."""
    metrics: CollectorRegistry
    metrics_of_all: MetricsOfAll | None = None
    """Where this process is one of several."""
    vmm: str = ""
    accel: str = ""
    max_archive_bytes: int = 256 << 20
    archive_limits: ArchiveLimits = field(default_factory=ArchiveLimits)


def _dependencies(request: Request) -> ApiDependencies:
    dependencies: ApiDependencies = request.app.state.dependencies
    return dependencies


def _changes(request: Request) -> FunctionChanges:
    changes: FunctionChanges = request.app.state.changes
    return changes


Deps = Annotated[ApiDependencies, Depends(_dependencies)]
Changes = Annotated[FunctionChanges, Depends(_changes)]
