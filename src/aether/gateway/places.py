"""The instances of a function that can take a request, and the choice between them."""

from __future__ import annotations

import random
from collections.abc import Iterable

from aether.domain.instance import Instance, InstanceStatus
from aether.gateway.retry_budget import RetryBudget
from aether.http import Upstream

_NOT_FREE = -1


class Slot:
    """An instance as this gateway sees it: the record, and the requests it has there itself."""

    __slots__ = ("company", "in_flight", "index", "instance", "lost", "refusals", "resting", "upstream")

    lost: bool
    """It refused or could not be reached: not chosen until the registry says something new."""

    def __init__(self, instance: Instance) -> None:
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
        self.upstream = Upstream(instance.host_ip, instance.proxy_port)
        """Where its proxy listens."""
        self.lost = False

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

    __slots__ = ("_free", "_limit", "_revision", "budget", "given", "ready")

    def __init__(self) -> None:
        self._free: list[Slot] = []
        self._revision = 0
        self._limit = 0
        self.ready = 0
        """Instances that serve, with room or without."""
        self.given = 0
        """Requests that got a place, ever."""
        self.budget = RetryBudget()

    def renew(self, slots: Iterable[Slot], revision: int, limit: int) -> None:
        """The instances, the revision that serves, or the hard limit of concurrency have changed."""
        self._free, self._revision, self._limit, self.ready = [], revision, limit, 0
        for slot in slots:
            slot.index = _NOT_FREE
            self.ready += slot.serves(revision)
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

    def _admit(self, slot: Slot) -> None:
        if slot.in_flight < self._limit and not slot.resting and slot.serves(self._revision):
            slot.index = len(self._free)
            self._free.append(slot)

    def _remove(self, slot: Slot) -> None:
        """The last one takes its place in the list."""
        last = self._free.pop()
        if last is not slot:
            self._free[slot.index] = last
            last.index = slot.index
        slot.index = _NOT_FREE
