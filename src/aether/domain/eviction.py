"""Which idle instances go first when memory is short: a pure function of facts.

What is wanted back is either room for an instance that somebody waits for, or what a worker says its host
is short of. Idle instances go, the least valuable first: outdated ones, then those whose function is called
least per instance, then those idle for longest. Never one that runs a request, nor one used a moment ago
(an instance that has just started may be about to get the request it was started for), and never one that
would leave its function below `min_instances`: the next look would start it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

IDLE_AT_LEAST_S = 1.0
"""A heartbeat: what is used more often than it is told of is not idle."""


@dataclass(frozen=True, slots=True)
class Space:
    """What a worker has left."""

    worker_id: str
    free_bytes: int
    free_slots: int
    short_of: int = 0
    """Bytes that the host wants back, whoever else needs some; nothing starts there until then."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """A ready or draining instance."""

    instance_id: str
    function_id: str
    worker_id: str
    size_bytes: int
    in_flight: int
    idle_s: float
    rate_per_s: float
    """Calls of its function, per instance that takes them."""
    outdated: bool = False
    leaving: bool = False
    """It drains: its memory will be free in a moment, or when its requests have ended."""
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Need:
    """Instances of a function that no worker has room for."""

    function_id: str
    size_bytes: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Evictions:
    drain: tuple[str, ...] = ()
    met: frozenset[str] = frozenset()
    """Functions for which one instance at least will have room, by these or by what leaves already."""


def evict(
    needs: Iterable[Need],
    spaces: Iterable[Space],
    occupants: Iterable[Occupant],
    spare: Mapping[str, int],
    idle_at_least_s: float = IDLE_AT_LEAST_S,
) -> Evictions:
    """What to drain. `spare` is how many instances of the serving version each function can lose."""
    return _Ledger(spaces, occupants, spare, idle_at_least_s).settle(needs)


class _Ledger:
    """What is free and who may still go, while it is decided."""

    def __init__(
        self,
        spaces: Iterable[Space],
        occupants: Iterable[Occupant],
        spare: Mapping[str, int],
        idle_at_least_s: float,
    ) -> None:
        self._spaces = {s.worker_id: s for s in spaces}
        self._free = {s.worker_id: s.free_bytes for s in self._spaces.values()}
        self._owed = {s.worker_id: s.short_of for s in self._spaces.values()}
        self._slots = {s.worker_id: s.free_slots for s in self._spaces.values()}
        self._spare = dict(spare)
        self._idle: dict[str, Occupant] = {}
        for one in occupants:
            if one.worker_id not in self._spaces:
                continue
            if one.leaving:
                if not one.in_flight:
                    self._give(one)
            elif one.fresh and not one.in_flight and one.idle_s >= idle_at_least_s:
                self._idle[one.instance_id] = one

    def settle(self, needs: Iterable[Need]) -> Evictions:
        gone = [i for worker_id in self._spaces for i in self._relieve(worker_id)]
        met = set()
        for need in needs:
            for _ in range(need.count):
                room = self._room(need)
                if room is None:
                    break
                met.add(need.function_id)
                gone += room
        return Evictions(tuple(gone), frozenset(met))

    def _relieve(self, worker_id: str) -> list[str]:
        """Give a host back what it is short of, as far as idle ones allow."""
        chosen: list[Occupant] = []
        for one in self._candidates(worker_id):
            if sum(c.size_bytes for c in chosen) >= self._owed[worker_id]:
                break
            chosen.append(one)
        return self._take(chosen)

    def _room(self, need: Need) -> list[str] | None:
        """Room for one instance, on the worker where that costs least; None if there is none to be made."""
        options = [
            (sum(one.rate_per_s for one in chosen), len(chosen), worker_id, chosen)
            for worker_id in self._spaces
            if (chosen := self._cheapest(need, worker_id)) is not None
        ]
        if not options:
            return None
        *_, worker_id, chosen = min(options, key=lambda option: option[:3])
        gone = self._take(chosen)
        self._free[worker_id] -= need.size_bytes
        self._slots[worker_id] -= 1
        return gone

    def _cheapest(self, need: Need, worker_id: str) -> list[Occupant] | None:
        chosen: list[Occupant] = []
        candidates = self._candidates(worker_id, need)
        while not self._fits(need, worker_id, chosen):
            following = next(candidates, None)
            if following is None:
                return None
            chosen.append(following)
        for one in reversed(chosen):  # the most valuable first: some may have turned out not to be needed
            without = [other for other in chosen if other is not one]
            if self._fits(need, worker_id, without):
                chosen = without
        return chosen

    def _fits(self, need: Need, worker_id: str, chosen: list[Occupant]) -> bool:
        given = sum(one.size_bytes for one in chosen)
        free = self._free[worker_id] + given - self._owed[worker_id]
        return free >= need.size_bytes and self._slots[worker_id] + len(chosen) > 0

    def _candidates(self, worker_id: str, need: Need | None = None) -> Iterator[Occupant]:
        """Least valuable first; of the function in need itself only what is outdated, and that first."""
        own = need.function_id if need is not None else None
        spare = dict(self._spare)
        for one in sorted(self._idle.values(), key=lambda one: _value(one, own)):
            if one.worker_id != worker_id:
                continue
            if one.outdated:
                yield one
            elif one.function_id != own and spare.get(one.function_id, 0) > 0:
                spare[one.function_id] -= 1
                yield one

    def _take(self, chosen: list[Occupant]) -> list[str]:
        for one in chosen:
            del self._idle[one.instance_id]
            if not one.outdated:
                self._spare[one.function_id] -= 1
            self._give(one)
        return [one.instance_id for one in chosen]

    def _give(self, one: Occupant) -> None:
        repaid = min(self._owed[one.worker_id], one.size_bytes)
        self._owed[one.worker_id] -= repaid
        self._free[one.worker_id] += one.size_bytes - repaid
        self._slots[one.worker_id] += 1


def _value(one: Occupant, own: str | None) -> tuple[bool, bool, float, float, str]:
    own_outdated = one.outdated and one.function_id == own
    return not own_outdated, not one.outdated, one.rate_per_s, -one.idle_s, one.instance_id
