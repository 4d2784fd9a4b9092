"""Sees to it that newest versions get instances, whatever serves meanwhile."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from contextlib import suppress

from aether.domain.errors import NoCapacity, NoCode
from aether.domain.function import FunctionConfig
from aether.gateway.room import Room
from aether.gateway.routes import RouteTable
from aether.gateway.starts import Starts
from aether.ports.clock import Clock

ROOM_WITHIN_S = 10.0
"""How long a newest version waits for room beside the one that serves, which has to make it then."""


class NewestVersions:
    """Started ahead of any request: by wish, or to take over from the version before."""

    def __init__(self, routes: RouteTable, room: Room, starts: Starts, clock: Clock) -> None:
        self._routes = routes
        self._room = room
        self._starts = starts
        self._clock = clock
        self._promised: dict[str, int] = {}
        """Revisions that are to start as soon as there is room, though nobody waits, by function id."""
        self._cramped_since: dict[str, tuple[int, float]] = {}
        """Newest revisions that there is no room for beside the version before, by function id."""

    @property
    def promised(self) -> AbstractSet[str]:
        """Ids of functions of which one is to start as soon as there is room."""
        return self._promised.keys()

    def start_newest(self, function: FunctionConfig) -> None:
        """See to it that an instance of the newest version is there or on its way, whatever failed before.

        Raises NoCode, NoCapacity.
        """
        if not function.version.code_sha256:
            raise NoCode(f"{function.name} has no code yet")
        revision = function.version.revision
        if any(slot.serves(revision) for slot in self._routes.slots(function.id)):
            self._promised.pop(function.id, None)
            return
        if self._starts.count(function.id, revision):
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
        """While the version before serves, have as many of the newest start as its running requests need."""
        revision = function.version.revision
        if not self._routes.rolls(function) or self._starts.count(function.id, revision):
            return
        running = sum(slot.in_flight for slot in self._routes.slots(function.id))
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
            self._routes.rollouts.takes_over(function)
            self._routes.changed(function.id)

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
        self._promised.pop(function_id, None)
