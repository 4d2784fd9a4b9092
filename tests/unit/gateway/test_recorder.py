"""Invocation records off the request path."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Counter

from aether.adapters.clock import SystemClock
from aether.domain.errors import StoreUnavailable
from aether.domain.invocation import Invocation, InvocationStatus
from aether.gateway.recorder import Recorder


class Away:
    """A store that is away for some tries; what it can't do is what the port says it may raise."""

    def __init__(self, tries: int) -> None:
        self.tries = tries
        self.rows: list[Invocation] = []
        self.written = asyncio.Event()

    async def append(self, invocations) -> None:
        self.tries -= 1
        if self.tries >= 0:
            raise StoreUnavailable("away")
        self.rows.extend(invocations)
        self.written.set()

    async def list(self, function_id, limit, before_id=None):
        return self.rows[:limit]

    async def prune(self, older_than, limit=10_000) -> int:
        return 0


def row(number: int) -> Invocation:
    return Invocation(f"call-{number}", "fn-1", InvocationStatus.SUCCESS, 1, datetime.now(UTC))


def recorder(store: Away, capacity: int = 10) -> tuple[Recorder, Counter]:
    dropped = Counter("dropped", "for this test", registry=CollectorRegistry())
    return Recorder(store, SystemClock(), dropped, keep=timedelta(days=1), capacity=capacity), dropped


async def test_records_outlast_a_store_that_is_away_and_are_written_once_and_in_order():
    store = Away(tries=2)
    it, _ = recorder(store)
    run = asyncio.ensure_future(it.run())
    for number in range(5):
        it.record(row(number))
    await asyncio.wait_for(store.written.wait(), 10)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert [r.id for r in store.rows] == [f"call-{n}" for n in range(5)]


async def test_what_does_not_fit_is_counted():
    it, dropped = recorder(Away(tries=100), capacity=3)
    for number in range(5):
        it.record(row(number))
    assert next(s.value for m in dropped.collect() for s in m.samples if s.name == "dropped_total") == 2


async def test_the_end_writes_what_is_still_there():
    store = Away(tries=0)
    it, _ = recorder(store)
    run = asyncio.ensure_future(it.run())
    await asyncio.sleep(0)
    it.record(row(1))
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert [r.id for r in store.rows] == ["call-1"]


class Slow(Away):
    """A store that is at it when the end comes: `go_on` lets it finish."""

    def __init__(self) -> None:
        super().__init__(tries=0)
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.writes = 0

    async def append(self, invocations) -> None:
        self.writes += 1
        self.begun.set()
        await self.go_on.wait()
        await super().append(invocations)


async def test_the_end_lets_a_write_that_runs_be_done_whole():
    store = Slow()
    it, _ = recorder(store)
    run = asyncio.ensure_future(it.run())
    it.record(row(1))
    await asyncio.wait_for(store.begun.wait(), 10)
    run.cancel()
    await asyncio.sleep(0)
    store.go_on.set()
    await asyncio.gather(run, return_exceptions=True)
    assert ([r.id for r in store.rows], store.writes) == (["call-1"], 1)
