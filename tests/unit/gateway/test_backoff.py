"""Pauses for what keeps failing, in simulated time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.unit.gateway.conftest import worker

from aether.domain.worker import Failures, Worker
from aether.gateway.backoff import CRASHES, Backoff


class At:
    """A clock that stands still."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


@pytest.fixture
def clock() -> At:
    return At()


@pytest.fixture
def backoff(clock) -> Backoff:
    return Backoff(clock)


def pause_s(backoff: Backoff, revision: int = 1) -> float:
    trouble = backoff.trouble("fn-1", revision)
    return trouble.pause_s if trouble is not None else 0.0


def crashed(in_a_row: int, worker_id: str = "wrk-1", ago_s: float = 0.0, revision: int = 1) -> Worker:
    failures = Failures(revision, in_a_row, ago_s, "exited: exit code 1", "last words")
    return replace(worker(), id=worker_id, failures={"fn-1": failures})


def test_pauses_after_failed_starts_double_up_to_a_minute_and_end_with_a_success(backoff, clock):
    pauses = []
    for _ in range(8):
        backoff.failed("fn-1", 1, "it exited")
        pauses.append(pause_s(backoff))
        clock.seconds += pause_s(backoff)
        assert pause_s(backoff) == 0
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff.trouble("fn-1", 1) is not None, "it has not worked yet"
    backoff.worked("fn-1", 1)
    assert backoff.trouble("fn-1", 1) is None
    backoff.failed("fn-1", 1, "it exited")
    assert pause_s(backoff) == 1


def test_starts_that_fail_together_are_one_failure(backoff, clock):
    for _ in range(10):
        backoff.failed("fn-1", 1, "it exited")
    assert pause_s(backoff) == 1
    clock.seconds += 1
    for _ in range(10):
        backoff.failed("fn-1", 1, "it exited")
    assert pause_s(backoff) == 2


def test_a_reason_with_a_console_is_not_replaced_by_one_without(backoff, clock):
    for reason, console in [("no sign of life", ""), ("nothing listened", "oh dear"), ("again", "")]:
        backoff.failed("fn-1", 1, reason, console)
        clock.seconds += 5
    trouble = backoff.trouble("fn-1", 1)
    assert (trouble.in_a_row, trouble.reason, trouble.console_tail) == (3, "nothing listened", "oh dear")
    backoff.failed("fn-1", 1, "it exited", "something else")
    assert backoff.trouble("fn-1", 1).reason == "it exited"


def test_a_new_revision_starts_afresh(backoff):
    backoff.failed("fn-1", 1, "it exited")
    backoff.heard(crashed(10))
    assert backoff.trouble("fn-1", 1) is not None
    assert backoff.trouble("fn-1", 2) is None
    assert backoff.trouble("fn-2", 1) is None
    backoff.failed("fn-1", 2, "it exited")
    assert pause_s(backoff, revision=2) == 1


def test_a_crash_or_two_may_be_a_requests_doing_and_three_in_a_row_are_a_loop(backoff):
    for in_a_row in range(CRASHES):
        backoff.heard(crashed(in_a_row))
        assert backoff.trouble("fn-1", 1) is None
    backoff.heard(crashed(CRASHES))
    trouble = backoff.trouble("fn-1", 1)
    assert (trouble.pause_s, trouble.reason) == (1, "exited: exit code 1")
    assert trouble.console_tail == "last words"


def test_pauses_after_crashes_double_and_count_from_the_crash(backoff, clock):
    pauses = []
    for in_a_row in range(CRASHES, CRASHES + 8):
        backoff.heard(crashed(in_a_row))
        pauses.append(pause_s(backoff))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    clock.seconds = 100.0
    backoff.heard(crashed(CRASHES + 4, ago_s=5.0))
    assert pause_s(backoff) == 11


def test_the_crashes_of_all_workers_make_the_loop(backoff, clock):
    backoff.heard(crashed(1, "wrk-1", ago_s=20.0))
    backoff.heard(crashed(2, "wrk-2", ago_s=0.25))
    assert pause_s(backoff) == 0.75
    backoff.gone("wrk-1")
    assert backoff.trouble("fn-1", 1) is None


def test_a_heartbeat_that_tells_of_no_crashes_ends_the_loop(backoff):
    backoff.heard(crashed(5))
    assert backoff.crash_loop("fn-1", 1) is not None
    backoff.heard(worker())
    assert backoff.crash_loop("fn-1", 1) is None


def test_a_removed_function_leaves_nothing(backoff):
    backoff.failed("fn-1", 1, "it exited")
    backoff.heard(crashed(5))
    backoff.forget("fn-1")
    assert backoff.trouble("fn-1", 1) is None
    backoff.heard(worker())  # what it told of before is gone already
