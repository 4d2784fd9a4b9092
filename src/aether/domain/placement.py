"""Which worker gets the next instance: a pure function of what is known, and of chance.

Memory, slots, runtime and draining are hard limits. Among workers that may have it, those that hold the
code (or its snapshot) are preferred as long as their load stays within a bound of the average (consistent
hashing with bounded loads, Mirrokni et al. 2016, by another way to the preferred ones); else it goes to the
less loaded of two random ones. Chance keeps gateways that decide by the same old records apart.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random

from aether.domain.memory import Room, bytes_on
from aether.domain.worker import Worker

BOUND = 1.15
"""Of the average load: so far a worker may be ahead for being preferred. Of three, none gets over 40 %."""


@dataclass(frozen=True, slots=True)
class Want:
    """What an instance needs of its worker."""

    memory_mib: int
    runtime: str


@dataclass(frozen=True, slots=True)
class Coming:
    """What was placed on a worker that its record does not tell of yet."""

    instances: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """On that worker, or by the shared queue, on whoever takes it."""

    worker_id: str | None


_NOTHING = Coming()


def tells_room(worker: Worker) -> bool:
    """Foreign workers tell nothing of their room: they take what they like from the shared queue."""
    return bool(worker.runtimes or worker.free_slots or worker.free_mem)


def why_not(worker: Worker, want: Want, coming: Coming = _NOTHING) -> str | None:
    """Why a worker can't start such an instance, by what it tells and what is on its way; None if it can."""
    if worker.draining:
        return f"worker {worker.id} drains"
    if not tells_room(worker):
        return f"worker {worker.id} tells of no room"
    if worker.runtimes and want.runtime not in worker.runtimes:
        return f"worker {worker.id} has no runtime {want.runtime}"
    room = Room.of(worker)
    left = replace(
        room,
        free=max(0, room.free - coming.size_bytes),
        slots=max(0, room.slots - coming.instances),
        instances=room.instances + coming.instances,
    )
    return left.why_not(worker.id, bytes_on(worker, want.memory_mib))


def place(
    want: Want,
    workers: Collection[Worker],
    random: Random,
    *,
    coming: Mapping[str, Coming] | None = None,
    holders: Container[str] = (),
    tried: Container[str] = (),
    unreachable: Container[str] = (),
) -> Placement | None:
    """Where an instance should start; None when nobody has room.

    `holders` are ids of workers that have its code, `tried` of those that refused this very start,
    `unreachable` of those that can't be called from here: they get none while others are there.
    """
    coming = coming or {}
    there = [w for w in workers if w.id not in unreachable] or list(workers)
    fit = [
        _Seat.of(worker, coming.get(worker.id, _NOTHING))
        for worker in there
        if worker.id not in tried and why_not(worker, want, coming.get(worker.id, _NOTHING)) is None
    ]
    if fit:
        return Placement(_choose(fit, holders, random).worker_id)
    if any(may_take(worker) for worker in workers):
        return Placement(None)
    return None


def may_take(worker: Worker) -> bool:
    """Whether it may take from the shared queue though it tells of no room."""
    return not worker.draining and not tells_room(worker)


@dataclass(frozen=True, slots=True)
class _Seat:
    worker_id: str
    instances: int
    weight: float

    @classmethod
    def of(cls, worker: Worker, coming: Coming) -> _Seat:
        instances = len(worker.instances) + sum(worker.starting.values()) + coming.instances
        return cls(worker.id, instances, max(1, worker.total_mem))

    @property
    def load(self) -> float:
        """Instances by memory: a worker of twice the size carries twice as many."""
        return self.instances / self.weight


def _choose(fit: list[_Seat], holders: Container[str], random: Random) -> _Seat:
    preferred = [seat for seat in _within_bound(fit) if seat.worker_id in holders]
    return _less_loaded_of_two(preferred or fit, random)


def _within_bound(fit: list[_Seat]) -> Iterable[_Seat]:
    """Those that would be at most BOUND times the average with one more."""
    weight = sum(seat.weight for seat in fit)
    instances = BOUND * (1 + sum(seat.instances for seat in fit))
    return [seat for seat in fit if seat.instances < math.ceil(instances * seat.weight / weight)]


def _less_loaded_of_two(seats: list[_Seat], random: Random) -> _Seat:
    two = random.sample(seats, min(2, len(seats)))
    return min(two, key=lambda seat: seat.load)
