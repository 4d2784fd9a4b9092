"""A registry that lost everything and is filled again takes nothing from who is called meanwhile."""

from dataclasses import replace

import pytest
from tests.unit.gateway.conftest import function, instance, worker

from aether.domain.function import FunctionConfig
from aether.domain.instance import Instance
from aether.gateway.routes import RouteTable
from aether.ports.registry import Change, View, config_key, instance_key, worker_key

CONFIG = {config_key("fn-1"): replace(function(), generation=3)}
INSTANCE = {instance_key("fn-1", "inst-1"): instance("inst-1")}
WORKER = {worker_key("wrk-1"): worker()}
ALL = CONFIG | INSTANCE | WORKER


@pytest.fixture
async def routes():
    routes = RouteTable()
    routes._load(View(10, ALL, "first"))
    yield routes
    routes._held.close()


def known(routes: RouteTable) -> list[FunctionConfig | Instance]:
    return [*routes.functions(), *routes.instances("fn-1"), *routes.workers.values()]


async def test_nothing_goes_when_the_registry_lost_everything(routes):
    routes._load(View(1, {}, "second"))
    assert known(routes) == list(ALL.values())
    assert routes.generations() == {"fn-1": 0}
    routes._load(View(2, CONFIG, "second"))  # the watch was cut meanwhile
    assert known(routes) == list(ALL.values())
    assert routes.generations() == {"fn-1": 3}


async def test_what_goes_from_the_same_registry_is_gone(routes):
    routes._load(View(11, WORKER, "first"))
    assert known(routes) == list(WORKER.values())


async def test_what_its_owners_did_not_put_again_in_time_is_gone(routes):
    routes._load(View(1, WORKER, "second"))
    routes._held._time_is_up()
    assert known(routes) == [*CONFIG.values(), *WORKER.values()]


async def test_function_without_a_row_is_forgotten(routes):
    gone = []
    routes.on_change = gone.append
    routes._load(View(1, {}, "second"))
    routes.forget("fn-1")
    routes.forget("fn-1")
    assert list(routes.functions()) == []
    assert gone == ["fn-1"]


@pytest.fixture
async def after_silence(routes, monkeypatch):
    """The registry is heard of again, after longer than leases last."""
    monkeypatch.setattr("aether.gateway.held.SILENCE_S", -1.0)
    for _ in range(2):
        routes._held.heard()


@pytest.fixture
def ends():
    """Of all that is under leases, as a registry that stood still tells of them."""
    return [Change(number, key, None) for number, key in enumerate(INSTANCE | WORKER, 11)]


async def test_leases_that_ended_while_the_registry_stood_still_take_nothing(routes, after_silence, ends):
    for change in ends:
        routes._apply(change)
    assert known(routes) == list(ALL.values())
    assert routes.revision == 12
    routes._load(View(13, CONFIG, "first"))  # the watch was cut meanwhile
    assert known(routes) == list(ALL.values())


async def test_what_is_not_renewed_after_that_is_gone_in_time(routes, after_silence, ends):
    for change in ends:
        routes._apply(change)
    routes._apply(Change(13, *next(iter(WORKER.items()))))
    routes._held._time_is_up()
    assert known(routes) == [*CONFIG.values(), *WORKER.values()]


async def test_leases_that_end_while_the_registry_is_heard_of_are_believed(routes, ends):
    for _ in range(2):
        routes._held.heard()
    for change in ends:
        routes._apply(change)
    assert known(routes) == list(CONFIG.values())


async def test_a_function_that_was_removed_just_then_is_gone_at_once(routes, after_silence):
    routes._apply(Change(11, next(iter(CONFIG)), None))
    assert list(routes.functions()) == []
