"""The one deadline of a request, a point on a monotonic clock that the caller reads."""

from __future__ import annotations

from dataclasses import dataclass


# Not frozen: one is made for every call, and a frozen one takes three times as long to make.
@dataclass(slots=True)
class Deadline:
    """`at_s` is on the same clock as every `now_s` given to it (`time.monotonic`)."""

    at_s: float

    @classmethod
    def after(cls, seconds: float, now_s: float) -> Deadline:
        return cls(now_s + seconds)

    def remaining_s(self, now_s: float) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at_s - now_s)

    def expired(self, now_s: float) -> bool:
        return now_s >= self.at_s

    def sooner(self, seconds: float, now_s: float) -> Deadline:
        """This deadline, or `seconds` from `now_s` if that comes first: it can only shrink."""
        return Deadline(min(self.at_s, now_s + seconds))
