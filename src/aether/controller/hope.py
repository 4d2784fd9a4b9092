"""Whether a request that there is no room for should wait: asked often, answered from time to time."""

from __future__ import annotations

from dataclasses import dataclass

from aether.controller.room import Room
from aether.domain.function import FunctionConfig

ANSWER_HOLDS_S = 0.2
"""For so long an answer is taken to be the same."""
HOPE_FOR_S = 3.0
"""What runs requests may have ended them: heartbeats tell within a second, and it has to idle for one.
And some time for that to be looked at: without it calls were let go as their place came free."""
FORGET_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    hope: bool
    news: bool
    """It was worked out just now."""


@dataclass(slots=True)
class _Asked:
    serving: int
    at_s: float
    hope: bool
    hoping_since_s: float | None


class Hope:
    """By function; times are on a clock that never goes back."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._asked: dict[str, _Asked] = {}

    def for_one_of(self, function: FunctionConfig, serving: int, now_s: float) -> Answer:
        """Whether there will be room for an instance of it, or was none to be seen for some seconds only.

        `serving` is the revision that serves: instances of others may go for it.
        """
        before = self._asked.get(function.id)
        if before is not None and before.serving != serving:
            before = None
        if before is not None and now_s - before.at_s < ANSWER_HOLDS_S:
            return Answer(before.hope, news=False)
        since_s = None
        hope = self._room.can_be_made(function)
        if not hope and self._room.can_be_made(function, hoping=True):
            since_s = before.hoping_since_s if before is not None else None
            since_s = now_s if since_s is None else since_s
            hope = now_s - since_s < HOPE_FOR_S
        self._asked[function.id] = _Asked(serving, now_s, hope, since_s)
        return Answer(hope, news=True)

    def prune(self, now_s: float) -> None:
        """Forget functions for which nobody asks any more."""
        self._asked = {f: asked for f, asked in self._asked.items() if now_s - asked.at_s < FORGET_AFTER_S}
