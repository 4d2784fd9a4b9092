"""Gateways that know of each other: who does what one has to do, and how much each may ask for."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.controller.conftest import HandClock
from tests.unit.gateway.conftest import NOW, function, instance, version

from aether.domain.function import Limits
from aether.domain.gateway import GatewayRecord
from aether.gateway.asks import MOST_FUNCTIONS, Asks
from aether.gateway.demand import Elsewhere, starts_missing
from aether.gateway.others import TOLD_WITHIN_S, Others
from aether.gateway.routes import RouteTable


class One:
    """A gateway's knowledge of others."""

    def __init__(self, own_id: str, clock: HandClock) -> None:
        self.clock = clock
        self.changed: Counter[str] = Counter()
        self.wanted = 0
        self.routes = RouteTable()
        self.others = Others(
            self.routes, clock, own_id, changed=lambda f: self.changed.update([f]), room_wanted=self._want
        )

    def _want(self) -> None:
        self.wanted += 1

    def hear(self, gateway_id: str, **what) -> None:
        at = NOW + timedelta(seconds=self.clock.passed_s)
        self.routes.on_gateway(GatewayRecord(gateway_id, "", "", at, **what))


def members(count: int) -> list[One]:
    clock = HandClock()
    ids = [f"gw-{number}" for number in range(count)]
    made = [One(own_id, clock) for own_id in ids]
    for one in made:
        for gateway_id in ids:
            one.hear(gateway_id)
    return made


@pytest.fixture
async def one() -> One:
    return members(2)[0]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_of_all_does_what_one_has_to_do_and_not_always_the_same(count):
    made = members(count)
    does: Counter[int] = Counter()
    for number in range(200):
        [owner] = [i for i, one in enumerate(made) if one.others.is_ours(f"fn-{number}")]
        does[owner] += 1
    assert len(does) == count
    assert min(does.values()) > 200 / count / 2


async def test_shares_add_up_to_what_there_may_be():
    for count, most in ((1, 7), (2, 1), (2, 7), (3, 0), (5, 2)):
        made = members(count)
        shares = [one.others.allowed("fn-1", 100 if count > 1 else most, most=most) for one in made]
        assert sum(shares) == most
        assert max(shares) - min(shares) <= 1


async def test_more_than_the_share_may_be_had_when_the_others_had_time_to_tell(one):
    assert one.others.allowed("fn-1", 2, most=4) == 2
    assert one.others.allowed("fn-1", 4, most=4) == 2
    one.clock.tick(TOLD_WITHIN_S / 2)
    assert one.others.allowed("fn-1", 4, most=4) == 2
    async with asyncio.timeout(2):
        while not one.changed["fn-1"]:
            await asyncio.sleep(0.01)
    one.clock.tick(TOLD_WITHIN_S / 2)
    assert one.others.allowed("fn-1", 3, most=4) == 3
    assert one.others.allowed("fn-1", 4, most=4) == 2, "and so each time"


async def test_what_was_wanted_long_ago_is_wanted_anew(one):
    assert one.others.allowed("fn-1", 4, most=4) == 2
    one.clock.tick(60)
    one.hear("gw-1")
    assert one.others.allowed("fn-1", 4, most=4) == 2


async def test_what_was_enough_meanwhile_is_wanted_anew(one):
    assert one.others.allowed("fn-1", 4, most=4) == 2
    one.others.enough("fn-1")
    one.clock.tick(TOLD_WITHIN_S)
    assert one.others.allowed("fn-1", 4, most=4) == 2


async def test_a_gateway_that_is_gone_has_no_share(one):
    one.routes.on_gateway_gone("gw-1")
    assert one.others.allowed("fn-1", 4, most=4) == 4


async def test_functions_that_others_tell_something_new_of_are_looked_at(one):
    one.hear("gw-1", waiting={"fn-1": 1})
    one.hear("gw-1", waiting={"fn-1": 1}, starting={"fn-2": {1: 1}})
    assert one.changed == {"fn-1": 2, "fn-2": 1}
    one.hear("gw-1", waiting={"fn-1": 1}, starting={"fn-2": {1: 1}})
    assert one.changed == {"fn-1": 2, "fn-2": 1}
    one.routes.on_gateway_gone("gw-1")
    assert one.changed == {"fn-1": 3, "fn-2": 2}


async def test_room_that_is_missing_elsewhere_is_heard_of(one):
    one.hear("gw-0", missing_room={"fn-1": 1})
    assert not one.wanted, "one's own is known"
    one.hear("gw-1", missing_room={"fn-1": 1})
    assert one.wanted == 1


async def test_a_version_that_took_over_elsewhere_for_want_of_room_serves_here_too(one):
    config = function(revision=2, good=version(1))
    one.routes._put(config)
    one.routes._put(instance("old"))
    assert one.routes.serving(config).revision == 1
    one.hear("gw-1", took_over={"fn-1": 1})
    assert one.routes.serving(config).revision == 1
    one.hear("gw-1", took_over={"fn-1": 2})
    assert one.routes.serving(config).revision == 2


COUNTS = st.integers(0, 200)


@given(
    waiting=COUNTS, other=COUNTS, ready=st.integers(0, 10), mine=st.integers(0, 10), theirs=st.integers(0, 10)
)
def test_starts_never_exceed_what_all_need_or_may_have(waiting, other, ready, mine, theirs):
    limits = Limits(max_instances=8, max_concurrency=4, max_starts_in_flight=5)
    elsewhere = Elsewhere(waiting=other, starting=theirs)
    missing = starts_missing(
        limits, waiting=waiting, ready=ready, starting=mine, carefully=False, elsewhere=elsewhere
    )
    alone = starts_missing(limits, waiting=waiting, ready=ready, starting=mine, carefully=False)
    assert 0 <= missing <= alone
    if missing:
        assert ready + mine + theirs + missing <= limits.max_instances
        assert mine + theirs + missing <= limits.max_starts_in_flight
        assert (mine + theirs + missing - 1) * limits.max_concurrency < waiting + other


def test_a_record_has_an_end():
    """With the functions that have the most of it."""
    many = {f"fn-{number}": number for number in range(1, 5 * MOST_FUNCTIONS)}
    asks = Asks(many, {name: {1: count, 2: 1} for name, count in many.items()}, many, many, many).bounded()
    assert asks.size == 5 * MOST_FUNCTIONS
    last = f"fn-{5 * MOST_FUNCTIONS - 1}"
    assert last in asks.waiting
    assert last in asks.starting
    assert "fn-1" not in asks.waiting
