"""The instances of a function that can take a request, and the choice between them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from enum import Enum

from aether.domain.instance import Instance, InstanceStatus
from aether.gateway.retry_budget import RetryBudget
from aether.http import Upstream

_NOT_FREE = -1
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Doubt(Enum):
    """Why others are preferred to an instance that may be well."""

    HOST = "host"
    """Its host did not answer in time."""
    WORKER = "worker"
    """Its worker's heartbeats stay away, unlike those of others."""
    BARRED = "barred"
    """It takes no request from this gateway: for want of the cluster's key, or of a certificate."""


def upstream_of(instance: Instance) -> Upstream:
    """Where its proxy listens."""
    return Upstream(instance.host_ip, instance.proxy_port, tls=instance.tls)


class Slot:
    """An instance as this gateway sees it: the record, and the requests it has there itself."""

    __slots__ = (
        "company",
        "doubts",
        "fields",
        "in_flight",
        "index",
        "instance",
        "keyed",
        "lost",
        "refusals",
        "resting",
        "upstream",
    )

    lost: bool
    """It refused or could not be reached: not chosen until the registry says something new."""

    def __init__(self, instance: Instance) -> None:
        self.doubts: set[Doubt] = set()
        self.renew(instance)
        self.in_flight = 0
        self.resting = False
        """Its proxy said that it is full, with requests of other gateways: not chosen for a moment."""
        self.refusals = 0
        """How often it said so since it last took a request of ours to its end."""
        self.company = 0
        """The most requests of ours that were there when one of them broke."""
        self.index = _NOT_FREE

    def renew(self, instance: Instance) -> None:
        """The registry says something new of it."""
        self.instance = instance
        self.upstream = upstream_of(instance)
        self.keyed = instance.keyed
        self.fields = b""
        """Says whom a request is for: by the time it arrives the port may be another's."""
        if _TOKEN.fullmatch(instance.instance_id):
            self.fields = f"X-Aether-Instance: {instance.instance_id}\r\n".encode()
        self.lost = False
        self.doubts.discard(Doubt.BARRED)

    def serves(self, revision: int) -> bool:
        """Whether it may get requests meant for that revision; a foreign worker's tells none."""
        return (
            self.instance.status is InstanceStatus.READY
            and not self.lost
            and self.instance.revision in (revision, None)
        )

    def gone(self) -> None:
        """The registry has it no more."""
        self.lost, self.index = True, _NOT_FREE


class Places:
    """Of one function: what has room is kept in a list, so that taking and giving back are O(1)."""

    __slots__ = ("_any_sure", "_free", "_limit", "_revision", "budget", "given", "ready")

    def __init__(self) -> None:
        self._free: list[Slot] = []
        self._revision = 0
        self._limit = 0
        self._any_sure = False
        """There is an instance in no doubt: then the others get nothing, and don't count."""
        self.ready = 0
        """Instances that serve, with room or without."""
        self.given = 0
        """Requests that got a place, ever."""
        self.budget = RetryBudget()

    def renew(self, slots: Iterable[Slot], revision: int, limit: int) -> None:
        """The instances, the revision that serves, or the hard limit of concurrency have changed."""
        slots = list(slots)
        self._free, self._revision, self._limit, self.ready = [], revision, limit, 0
        self._any_sure = any(not slot.doubts and slot.serves(revision) for slot in slots)
        for slot in slots:
            slot.index = _NOT_FREE
            self.ready += self._serves(slot)
            self._admit(slot)

    def take(self, avoid: Slot | None = None) -> Slot | None:
        """The less loaded of two random ones, another than `avoid` where there is one; None without room."""
        free = self._free
        if not free:
            return None
        slot = free[0] if len(free) == 1 else self._choose(avoid)
        slot.in_flight += 1
        self.given += 1
        if slot.in_flight >= self._limit:
            self._remove(slot)
        return slot

    def give_back(self, slot: Slot) -> None:
        """A request on it has ended: whatever others have there, one place is free."""
        slot.in_flight -= 1
        slot.resting = False
        slot.refusals = 0
        if slot.index == _NOT_FREE:
            self._admit(slot)

    def rest(self, slot: Slot) -> None:
        """It refused a request because it is full."""
        slot.in_flight -= 1
        slot.resting = True
        slot.refusals += 1
        if slot.index != _NOT_FREE:
            self._remove(slot)

    def rested(self, slot: Slot) -> None:
        """It may be asked again."""
        slot.resting = False
        if slot.index == _NOT_FREE:
            self._admit(slot)

    def _choose(self, avoid: Slot | None) -> Slot:
        free = self._free
        first = int(random.random() * len(free))
        second = int(random.random() * (len(free) - 1))
        if second >= first:
            second += 1
        one, other = free[first], free[second]
        if avoid is not None and avoid in (one, other):
            return other if one is avoid else one
        if one.in_flight != other.in_flight:
            return one if one.in_flight < other.in_flight else other
        # The older, so that what there is too much of idles and goes, not each taking a request now and then.
        return one if one.instance.started_at <= other.instance.started_at else other

    def _serves(self, slot: Slot) -> bool:
        return slot.serves(self._revision) and not (slot.doubts and self._any_sure)

    def _admit(self, slot: Slot) -> None:
        if slot.in_flight < self._limit and not slot.resting and self._serves(slot):
            slot.index = len(self._free)
            self._free.append(slot)

    def _remove(self, slot: Slot) -> None:
        """The last one takes its place in the list."""
        last = self._free.pop()
        if last is not slot:
            self._free[slot.index] = last
            last.index = slot.index
        slot.index = _NOT_FREE
