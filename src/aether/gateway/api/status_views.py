"""The JSON of `/api/status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from aether.domain.gateway import GatewayRecord


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """Of one engine that this gateway uses, looked at just now. `address` has no password in it."""

    name: str
    address: str
    ok: bool
    reason: str = ""
    """Why it isn't."""
    took_ms: float = 0.0


class StoreView(BaseModel):
    name: str
    address: str
    ok: bool
    reason: str
    took_ms: float

    @classmethod
    def of(cls, health: StoreHealth) -> StoreView:
        return cls(
            name=health.name,
            address=health.address,
            ok=health.ok,
            reason=health.reason,
            took_ms=health.took_ms,
        )


class GatewayView(BaseModel):
    """A gateway, or a controller by itself; the counts are over all functions."""

    id: str
    hostname: str
    version: str
    role: str
    address: str
    last_heartbeat: datetime
    leads: bool
    """It is the one that scales."""
    waiting: int
    """Requests that no instance could take yet."""
    starting: int
    """Instances that it has asked for."""
    missing_room: int
    """Instances that no worker has room for."""
    unreachable: dict[str, str]
    """Workers that it can't reach, and why."""

    @classmethod
    def of(cls, record: GatewayRecord) -> GatewayView:
        return cls(
            id=record.id,
            hostname=record.hostname,
            version=record.version,
            role=record.role,
            address=record.address,
            last_heartbeat=record.last_heartbeat,
            leads=record.leads,
            waiting=sum(record.waiting.values()),
            starting=sum(count for by_revision in record.starting.values() for count in by_revision.values()),
            missing_room=sum(record.missing_room.values()),
            unreachable=dict(record.unreachable),
        )


class StatusView(BaseModel):
    version: str
    functions: int
    instances: int
    workers: int
    total_mem: int
    free_mem: int
    """Bytes on all workers that may still be given to instances."""
    limits: str
    vmm: str
    accel: str
    draining: int
    """As many of the workers."""
    unreachable: list[str]
    """Workers that a gateway can't reach."""
    gateways: list[GatewayView]
    controller: str | None
    """Who scales; none while nobody is elected, and where all is one process."""
    stores: list[StoreView]
    """As this gateway finds them; none where all is one process."""
    stale: bool
    """The registry is away: all but `stores` is as this gateway knew it last."""
