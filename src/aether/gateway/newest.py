"""Sees to it that newest versions get instances, whatever serves meanwhile."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from contextlib import suppress

from aether.domain.errors import NoCapacity, NoCode
from aether.domain.function import FunctionConfig
from aether.gateway.others import Others
from aether.gateway.room import Room
from aether.gateway.routes import RouteTable
from aether.gateway.starts import Starts
from aether.ports.clock import Clock

ROOM_WITHIN_S = 10.0
"""How long a newest version waits for room beside the one that serves, which has to make it then."""


class NewestVersions:
    """Started ahead of any request: by wish, or to take over from the version before."""

    def __init__(self, routes: RouteTable, room: Room, starts: Starts, others: Others, clock: Clock) -> None:
        self._routes = routes
        self._room = room
        self._starts = starts
        self._others = others
        self._clock = clock
        self._promised: dict[str, int] = {}
        """Revisions that are to start as soon as there is room, though nobody waits, by function id."""
        self._cramped_since: dict[str, tuple[int, float]] = {}
        """Newest revisions that there is no room for beside the version before, by function id."""
        self._took_over: dict[str, int] = {}

    @property
    def promised(self) -> AbstractSet[str]:
        """Ids of functions of which one is to start as soon as there is room."""
        return self._promised.keys()

    def start_newest(self, function: FunctionConfig) -> None:
        """See to it that an instance of the newest version is there or on its way, whatever failed before.

        Raises NoCode, NoCapacity.
        """
        if not function.has_code(function.version):
            raise NoCode(f"{function.name} has no code yet")
        revision = function.version.revision
        if any(slot.serves(revision) for slot in self._routes.slots(function.id)):
            self._promised.pop(function.id, None)
            return
        if self._coming(function):
            return
        self._promised[function.id] = revision
        if self._room.has(function, function.version):
            self._routes.rollouts.tried_again(function.id)
            self.try_again(function)
            return
        self._room.missing[function.id] = 1
        if not self._room.can_be_made(function):
            del self._promised[function.id]
            raise self._room.none_for(function, function.version)

    def roll_out(self, function: FunctionConfig) -> None:
        """While the version before serves, have as many of the newest start as its running requests need.

        One gateway does, for all of them.
        """
        if not self._routes.rolls(function) or self._coming(function):
            return
        if not self._others.is_ours(function.id):
            return
        revision, running = function.version.revision, self._running(function)
        try:
            self.start_newest(function)
        except NoCapacity:
            self._roll_out_in_place(function, running)
            return
        asked = self._starts.count(function.id, revision)
        if not asked:
            return  # room is being made for the first
        more = -(-running // function.limits.max_concurrency) - asked
        for _ in range(min(more, function.limits.max_starts_in_flight - asked)):
            self.try_again(function)

    def _roll_out_in_place(self, function: FunctionConfig, running: int) -> None:
        """Without room beside the old version, that goes first: when nothing runs on it, or after a while."""
        revision, now_s = function.version.revision, self._clock.monotonic()
        since = self._cramped_since.get(function.id)
        if since is None or since[0] != revision:
            since = self._cramped_since[function.id] = revision, now_s
        if not running or now_s - since[1] >= ROOM_WITHIN_S:
            self._took_over[function.id] = revision
            self._routes.rollouts.takes_over(function)
            self._routes.changed(function.id)

    def _running(self, function: FunctionConfig) -> int:
        """Requests of it: those of this gateway, or what workers told of all some moments ago."""
        slots = list(self._routes.slots(function.id))
        workers = (self._routes.workers.get(slot.instance.worker_id) for slot in slots)
        loads = (
            worker.instances.get(slot.instance.instance_id)
            for slot, worker in zip(slots, workers, strict=True)
            if worker is not None
        )
        told = sum(load.in_flight for load in loads if load is not None)
        return max(told, sum(slot.in_flight for slot in slots))

    def _coming(self, function: FunctionConfig) -> int:
        """Instances of the newest version on their way, whoever asked for them."""
        revision = function.version.revision
        return self._starts.count(function.id, revision) + self._others.starting(function.id, revision)

    def took_over(self) -> dict[str, int]:
        """Revisions that serve for want of room beside those before, until they were ready, by function."""
        for function_id, revision in list(self._took_over.items()):
            function = self._routes.find(function_id)
            good = function.good.revision if function is not None and function.good is not None else 0
            if function is None or function.version.revision != revision or good >= revision:
                del self._took_over[function_id]
        return dict(self._took_over)

    def try_again(self, function: FunctionConfig) -> None:
        """Start the newest version although it failed before: it may have been bad luck."""
        self._starts.ask(function, function.version)

    def keep_promise(self, function: FunctionConfig) -> None:
        """Start the newest version where that was to be as soon as there is room."""
        if function.id not in self._promised:
            self._room.missing.pop(function.id, None)  # those who wait say so again
            return
        if self._promised[function.id] != function.version.revision:
            del self._promised[function.id]
            return
        with suppress(NoCode, NoCapacity):
            self.start_newest(function)

    def break_promise(self, function_id: str) -> None:
        """It has been tried."""
        self._promised.pop(function_id, None)

    def forget(self, function_id: str) -> None:
        """The function is there no more."""
        self._cramped_since.pop(function_id, None)
        self._took_over.pop(function_id, None)
        self._promised.pop(function_id, None)
