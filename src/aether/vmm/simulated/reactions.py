"""What a simulated function does with a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

Answer = tuple[int, dict[str, Any]]


class Broken(Enum):
    """How a connection goes on that gets no answer."""

    ABORTED = "aborted"
    HELD = "held"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class Half:
    """Send half of this answer, do `then`, and break the connection."""

    answer: Answer
    then: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Last:
    """Send this answer whole, and do `then`."""

    answer: Answer
    then: Callable[[], None]


Reaction = Answer | Half | Last | Broken
