"""What a gateway asks of the cluster, and how much of it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nlargest

MOST_FUNCTIONS = 1000
"""Of each kind that are told of: those with the most of it."""


@dataclass(frozen=True, slots=True)
class Asks:
    """As in `domain/gateway`, by function id."""

    waiting: Mapping[str, int]
    starting: Mapping[str, Mapping[int, int]]
    missing_room: Mapping[str, int]
    trying_again: Mapping[str, int]
    took_over: Mapping[str, int]

    def bounded(self) -> Asks:
        if self.size <= MOST_FUNCTIONS:
            return self
        starting = _largest({f: sum(by_revision.values()) for f, by_revision in self.starting.items()})
        return Asks(
            waiting=_largest(self.waiting),
            starting={function_id: self.starting[function_id] for function_id in starting},
            missing_room=_largest(self.missing_room),
            trying_again=_largest(self.trying_again),
            took_over=_largest(self.took_over),
        )

    @property
    def size(self) -> int:
        """How much there is to tell."""
        return sum(
            map(len, (self.waiting, self.starting, self.missing_room, self.trying_again, self.took_over))
        )


def _largest(counts: Mapping[str, int]) -> Mapping[str, int]:
    if len(counts) <= MOST_FUNCTIONS:
        return counts
    most = nlargest(MOST_FUNCTIONS, counts, key=counts.__getitem__)
    return {function_id: counts[function_id] for function_id in most}
