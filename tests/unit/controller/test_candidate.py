"""One of several scales, and acts only while nobody else can have begun."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controller.conftest import function, idle

from aether.adapters.memory.election import MemoryElection
from aether.adapters.memory.registry import MemoryRegistry
from aether.controller import candidate as module
from aether.controller.candidate import Candidate
from aether.domain.function import Limits
from aether.ports.election import Fence


class Scales:
    """A controller that notes that it runs."""

    def __init__(self, now: list[str], name: str) -> None:
        self.now, self.name = now, name

    async def run(self) -> None:
        self.now.append(self.name)
        try:
            await asyncio.Event().wait()
        finally:
            self.now.remove(self.name)


class Stopped:
    """Implements `aether.ports.election.Term`: it ends as if the process had been stopped."""

    holds = True
    fence = Fence("/aether/controller", "one")


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_scales_and_another_when_that_stops():
    election, now = MemoryElection(MemoryRegistry()), []
    made = {name: Candidate(election, name, lambda _term, name=name: Scales(now, name)) for name in "abc"}
    runs = {name: asyncio.ensure_future(candidate.run()) for name, candidate in made.items()}
    for _ in made:
        await turns()
        [leader] = now
        assert [name for name, candidate in made.items() if candidate.leads] == [leader]
        assert await election.leader() == leader
        runs.pop(leader).cancel()
    await turns()
    assert not now
    assert await election.leader() is None


async def test_its_controller_ends_with_its_term_and_begins_anew_with_the_next():
    election, begun, terms = MemoryElection(MemoryRegistry()), [], []

    def begin(term) -> Scales:
        terms.append(term)
        return Scales(begun, f"term {len(terms)}")

    changes = []
    candidate = Candidate(election, "one", begin, on_change=lambda: changes.append(candidate.leads))
    run = asyncio.ensure_future(candidate.run())
    await turns()
    assert begun == ["term 1"]
    await terms[0].resign()
    await turns()
    assert begun == ["term 2"]
    assert changes == [True, False, True]
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_a_controller_that_breaks_gives_another_the_chance(monkeypatch):
    monkeypatch.setattr(module, "REST_S", 0.05)
    election, now = MemoryElection(MemoryRegistry()), []

    class Breaks:
        async def run(self) -> None:
            raise RuntimeError("oh dear")

    one = asyncio.ensure_future(Candidate(election, "breaks", lambda _term: Breaks()).run())
    await turns()
    other = asyncio.ensure_future(Candidate(election, "other", lambda _term: Scales(now, "other")).run())
    await turns()
    assert now == ["other"]
    for run in (one, other):
        run.cancel()
    await asyncio.gather(one, other, return_exceptions=True)


async def test_nothing_is_started_or_drained_when_the_term_may_be_over(make):
    term = Stopped()
    cluster = await make(term=term)
    cluster.registry.fences[term.fence.key] = term.fence.value
    await cluster.put(function(limits=Limits(instance_idle_timeout_s=2, min_instances=1)))
    await cluster.ready("a", idle(10))
    await cluster.ready("b", idle(20))
    term.holds = False
    await cluster.seconds(3)
    assert cluster.draining() == []
    term.holds = True
    await cluster.seconds(3)
    assert cluster.draining() == ["b"]


async def test_a_drain_that_was_on_its_way_when_another_began_is_not_done(make):
    term = Stopped()
    cluster = await make(term=term)
    cluster.registry.fences[term.fence.key] = "another"
    await cluster.put(function(limits=Limits(instance_idle_timeout_s=2, min_instances=1)))
    await cluster.ready("a", idle(10))
    await cluster.ready("b", idle(20))
    await cluster.seconds(3)
    assert cluster.registry.told == ["b"]
    assert cluster.draining() == []


@pytest.mark.parametrize("holds", [True, False])
async def test_what_is_needed_is_started_only_within_the_term(make, holds):
    term = Stopped()
    cluster = await make(term=term)
    term.holds = holds
    await cluster.put(function(limits=Limits(min_instances=2)))
    await cluster.second()
    assert await cluster.started() == ({"fn-1": 2} if holds else {})
