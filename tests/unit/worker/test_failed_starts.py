"""Starts that failed are told to all gateways, not only to the one that asked."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime

from tests.unit.controller.conftest import HandClock
from tests.unit.worker.conftest import Running

from aether.domain.instance import Instance, InstanceStatus
from aether.domain.job import JobReply
from aether.domain.worker import Worker
from aether.vmm.simulated.behaviour import Behaviour
from aether.worker.crash_loops import FORGOTTEN_AFTER_S, MAX_FUNCTIONS
from aether.worker.failed_starts import FailedStarts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ready(revision: int | None = 1, worker_id: str = "wrk-2") -> Instance:
    return Instance("inst-9", "fn-1", worker_id, "10.0.0.2", 1, "", InstanceStatus.READY, NOW, revision)


def outcome(revision: int = 1, function_id: str = "fn-1", tail: str = "", **changes) -> JobReply:
    return JobReply("req", function_id, revision, None, error="it ended", console_tail=tail, **changes)


class Rows(FailedStarts):
    def __init__(self) -> None:
        self.clock = HandClock()
        self.told_of = 0
        super().__init__(self.clock, self._count)

    def _count(self) -> None:
        self.told_of += 1

    def fails(self, after_s: float = 1.0, began_ago_s: float = 0.5, **what) -> None:
        self.clock.tick(after_s)
        self.note(outcome(**what), self.clock.monotonic() - began_ago_s)

    @property
    def in_a_row(self) -> int:
        told = self.told()
        return told["fn-1"].in_a_row if told else 0


async def test_a_start_that_failed_is_in_the_record_at_once_until_one_works_elsewhere(running: Running):
    running.behave["ends"] = Behaviour(exits_before_ready=True)
    view = await running.registry.view()
    async with aclosing(running.registry.watch(view.revision)) as changes, asyncio.timeout(10):
        await running.put(1)
        await running.ask("first", behave="ends")
        while True:
            value = (await anext(changes)).value
            if isinstance(value, Worker) and value.failed_starts:
                break
        [(function_id, failure)] = value.failed_starts.items()
        assert (function_id, failure.revision, failure.in_a_row) == ("fn-1", 1, 1)
        assert failure.reason
        assert failure.ago_s < 0.5
        lease = await running.registry.lease("wrk-2")
        await lease.put_instance(ready())
        while True:
            value = (await anext(changes)).value
            if isinstance(value, Worker) and not value.failed_starts:
                break


def test_starts_that_fail_one_after_the_other_are_counted_and_those_side_by_side_are_one():
    rows = Rows()
    rows.fails()
    rows.fails(began_ago_s=1.5, tail="what it said")
    assert rows.in_a_row == 1
    assert rows.told()["fn-1"].console_tail == "what it said"
    rows.fails()
    assert rows.in_a_row == 2
    assert rows.told()["fn-1"].console_tail == "what it said", "better than none"
    assert rows.told_of == 3


def test_what_says_nothing_about_the_code_is_not_told():
    rows = Rows()
    rows.fails(capacity=True)
    rows.note(JobReply("req", "fn-1", 1, "inst-1"), 0.0)
    assert not rows.told()
    assert not rows.told_of


def test_a_new_revision_counts_from_one_and_an_older_one_no_more():
    rows = Rows()
    rows.fails()
    rows.fails()
    rows.fails(revision=2)
    rows.fails(revision=1)
    assert (rows.told()["fn-1"].revision, rows.in_a_row) == (2, 1)


def test_a_ready_instance_of_it_ends_the_row_and_one_of_the_version_before_does_not():
    rows = Rows()
    rows.fails(revision=2)
    rows.saw(ready(1))
    rows.saw(ready(None))
    assert rows.in_a_row == 1
    rows.saw(ready(2))
    assert not rows.told()


def test_rows_are_bounded_and_forgotten_with_time_and_with_their_function():
    rows = Rows()
    for number in range(MAX_FUNCTIONS + 5):
        rows.fails(after_s=0.001, function_id=f"fn-{number}")
    assert len(rows.told()) == MAX_FUNCTIONS
    assert "fn-4" not in rows.told()
    rows.forget("fn-50")
    assert "fn-50" not in rows.told()
    rows.clock.tick(FORGOTTEN_AFTER_S + 1)
    assert not rows.told()
