"""An instance as the registry shows it to gateways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class InstanceStatus(StrEnum):
    READY = "ready"
    DRAINING = "draining"
    """Gateways give it no new requests; it stops when its running ones have ended."""


@dataclass(frozen=True, slots=True)
class Instance:
    """`/functions/{function_id}/instances/{instance_id}`; shape by the wire contract."""

    instance_id: str
    function_id: str
    worker_id: str
    host_ip: str
    proxy_port: int
    internal_ip: str
    status: InstanceStatus
    started_at: datetime
    revision: int | None = None
    """Of the function's version that it runs; None for one put there by a foreign worker."""
    vmm: str = ""
    accel: str = ""
    drain_until: datetime | None = None
    """When a draining one cuts what still runs."""
    restarting: bool = False
    """It drains because its worker restarts: it comes back as ready."""
    tls: bool = False
    """Its proxy speaks TLS, and asks for a certificate of the cluster's; a foreign worker's does not."""
    keyed: bool = False
    """Its proxy wants the cluster key. No other is sent it: who doesn't take it off shows it to functions."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds that its start took, by phase."""
