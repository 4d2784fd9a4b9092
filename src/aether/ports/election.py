"""One of several candidates leads at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

KEY = "/aether/controller"
"""Where it is written who leads."""


@dataclass(frozen=True, slots=True)
class Fence:
    """What a leader's writes are tied to: they are done only as long as `value` lies under `key`."""

    key: str
    value: str


class Term(Protocol):
    """A time of leading: until it is resigned, or could not be prolonged in time; it never comes back."""

    @property
    def holds(self) -> bool:
        """Nobody else can have begun. Ask right before acting: a process may have been stopped meanwhile.

        By one's own clock, which never goes back and goes on while the process or its host is stopped.
        """
        ...

    @property
    def fence(self) -> Fence: ...

    async def over(self) -> None:
        """Returns when it does not hold any more."""
        ...

    async def resign(self) -> None:
        """Another may begin at once. Idempotent; raises nothing when the engine is away."""
        ...


class Election(Protocol):
    """The place of who stops or is cut off is free after the lease (3 s), that of who resigns at once."""

    async def elected(self, candidate_id: str) -> Term:
        """Waits until this candidate leads, as long as it takes, and while the engine is away."""
        ...

    async def leader(self) -> str | None:
        """Id of the candidate that leads. Raises StoreUnavailable."""
        ...
