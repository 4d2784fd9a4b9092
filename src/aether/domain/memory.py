"""What an instance takes of a worker, as admission counts it, and why one does not fit."""

from __future__ import annotations

from dataclasses import dataclass

from aether.domain.worker import Worker

MIB = 1 << 20


def instance_bytes(memory_mib: int, overhead_bytes: int = 0) -> int:
    """Its whole memory, touched or not, and what runs the machine takes beside it."""
    return memory_mib * MIB + overhead_bytes


def bytes_on(worker: Worker, memory_mib: int) -> int:
    """What an instance takes there."""
    return instance_bytes(memory_mib, worker.instance_overhead)


@dataclass(frozen=True, slots=True)
class Room:
    """What a worker has at one moment, in bytes and instances."""

    total: int
    free: int
    """That may still be given."""
    slots: int
    """Instances that may still be started, the smallest ones."""
    short_of: int = 0
    """Missing of what is kept for the host: what runs on it takes more than there is."""
    instances: int = 0
    max_instances: int = 0
    """0 for any number."""

    @classmethod
    def of(cls, worker: Worker) -> Room:
        return cls(
            total=worker.total_mem,
            free=worker.free_mem,
            slots=worker.free_slots,
            short_of=worker.short_of,
            instances=len(worker.instances) + sum(worker.starting.values()),
            max_instances=worker.max_instances,
        )

    def why_not(self, worker_id: str, need_bytes: int, count: int = 1) -> str | None:
        """Why `count` instances of `need_bytes` each can't be started there; None if they can."""
        if self.max_instances and self.instances + count > self.max_instances:
            most = f"{self.max_instances} (AETHER_MAX_INSTANCES)"
            return f"worker {worker_id} has as many instances as it may: {most}"
        if self.short_of:
            missing = -(-self.short_of // MIB)
            return f"the host of worker {worker_id} is short of memory: {missing} MiB have to be freed first"
        need = count * need_bytes
        if self.free < need or self.slots < count:
            return f"worker {worker_id} has {self.free // MIB} MiB free, {need // MIB} MiB are needed"
        return None


def why_no_room(worker: Worker, memory_mib: int) -> str | None:
    """Why a worker can't start such an instance, by what it tells; None if it can."""
    if worker.draining:
        return f"worker {worker.id} drains"
    return Room.of(worker).why_not(worker.id, bytes_on(worker, memory_mib))
