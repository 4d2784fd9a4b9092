"""Whether workers have room for what waiting requests need."""

from __future__ import annotations

from collections.abc import Callable

from aether.domain.errors import NoCapacity
from aether.domain.function import FunctionConfig, Version
from aether.domain.placement import Want
from aether.gateway.placing import Placing
from aether.gateway.returning import Returning
from aether.gateway.routes import RouteTable
from aether.ports.clock import Clock

ASK_AGAIN_S = 1.0
"""How long after a worker said that it is full none is asked for the same function, unless a worker tells
of its room meanwhile: they do once a second, and when an instance came or went."""


class Room:
    """What workers say they have, and what they turned out not to have."""

    def __init__(self, routes: RouteTable, placing: Placing, returning: Returning, clock: Clock) -> None:
        self._routes = routes
        self._returning = returning
        self._placing = placing
        self._clock = clock
        self._full_until_s: dict[str, float] = {}
        self.missing: dict[str, int] = {}
        """Instances that there was no room for when they were last wanted, by function id."""
        self.can_be_made: Callable[[FunctionConfig], bool] = lambda _function: False
        """Whether idle instances leave for one of that function; the controller knows, and sees to it."""

    def has(self, function: FunctionConfig, version: Version | None = None) -> bool:
        """Whether a start of that version, or the one that serves, is worth asking for."""
        until_s = self._full_until_s.get(function.id)
        if until_s is not None:
            if self._clock.monotonic() < until_s:
                return False
            del self._full_until_s[function.id]
        return self._placing.has_room(version or self._routes.serving(function))

    def may_come(self, function: FunctionConfig) -> bool:
        """Whether those who have no room wait: idle instances leave for them, or a worker comes back."""
        return self._returning.any() or self.can_be_made(function)

    def refused(self, function_id: str) -> None:
        """A start of it was not taken."""
        self._full_until_s[function_id] = self._clock.monotonic() + ASK_AGAIN_S

    def heard(self) -> None:
        """A worker has told what it has by now: what it refused before is out of date."""
        self._full_until_s.clear()

    def forget(self, function_id: str) -> None:
        """The function is there no more."""
        self._full_until_s.pop(function_id, None)
        self.missing.pop(function_id, None)

    def none_for(self, function: FunctionConfig, version: Version | None = None) -> NoCapacity:
        """What to say where there is none for that version, or the one that serves."""
        wanted = version or self._routes.serving(function)
        return self._placing.none_for(function.name, Want(wanted.memory_mb, wanted.runtime))
