"""Pauses between starts of what keeps failing, in simulated time."""

from __future__ import annotations

from datetime import UTC, datetime

from aether.gateway.backoff import Backoff


class At:
    """A clock that stands still."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


def test_pauses_double_up_to_a_minute_and_end_with_a_success():
    clock = At()
    backoff = Backoff(clock)
    pauses = []
    for _ in range(8):
        backoff.failed("fn-1", 1)
        began_s = clock.seconds
        while backoff.holds("fn-1", 1):
            clock.seconds += 0.5
        pauses.append(clock.seconds - began_s)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.forget("fn-1")
    backoff.failed("fn-1", 1)
    clock.seconds += 1
    assert not backoff.holds("fn-1", 1)


def test_a_new_revision_starts_afresh():
    backoff = Backoff(At())
    backoff.failed("fn-1", 1)
    assert backoff.holds("fn-1", 1)
    assert not backoff.holds("fn-1", 2)
    assert not backoff.holds("fn-2", 1)
