"""A worker as the registry shows it, and what it says of its instances' load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class InstanceLoad:
    """Facts about one instance, as its proxy counts them."""

    function_id: str
    in_flight: int
    idle_s: float
    """Seconds since the last request ended; 0 while one runs."""


@dataclass(frozen=True, slots=True)
class Worker:
    """`/workers/{worker_id}`; memory in bytes, `load` is requests in flight."""

    id: str
    hostname: str
    public_ip: str
    total_cpu: int
    total_mem: int
    version: str
    last_heartbeat: datetime
    free_mem: int
    free_slots: int
    load: int = 0
    runtimes: tuple[str, ...] = ()
    draining: bool = False
    instances: Mapping[str, InstanceLoad] = field(default_factory=dict)
    """Load by instance id: the facts that scaling is decided on."""
    starting: Mapping[str, int] = field(default_factory=dict)
    """Instances being started, by function id."""
