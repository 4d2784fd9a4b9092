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
    calls: int = 0
    """Requests that it has been given since its start."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Instances of one revision of a function that ended by themselves, one after the other, on a worker.

    Or starts of it that failed.
    """

    revision: int
    in_a_row: int
    """Since the last that lived for long, or was asked to end."""
    ago_s: float
    """Seconds from the last of them to the heartbeat that tells."""
    reason: str
    console_tail: str = ""


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
    failures: Mapping[str, Failures] = field(default_factory=dict)
    """By function id: what crash loops are told by."""
    failed_starts: Mapping[str, Failures] = field(default_factory=dict)
    """By function id: the last starts of its newest versions that failed, until one works."""
    short_of: int = 0
    """Bytes that it wants back: its host runs out of memory. Idle instances go first."""
    instance_overhead: int = 0
    """Bytes that an instance takes there beside its own memory."""
    max_instances: int = 0
    """It has no more than so many at once; 0 for as many as its memory allows."""
    limits: str = ""
    """How its host holds instances to their memory and processors; `none`, if it does not."""
    vmm: str = ""
    """What runs its instances: `qemu`, `firecracker`, `simulated`."""
    accel: str = ""
    """`kvm`, `tcg` or `none`."""
    port: int = 0
    """Of its own `/healthz`, `/readyz` and `/metrics`; 0 where it has none."""
    home: str = ""
    """A random id kept in its data directory: the same after a restart, another for a rival with its id."""
    restarting: bool = False
    """It ends and leaves its instances to its next process: it is expected back."""


@dataclass(frozen=True, slots=True)
class DrainWish:
    """`/aether/drains/{worker_id}`: somebody wishes that a worker hands over what it has, and ends."""

    worker_id: str
    asked_at: datetime
