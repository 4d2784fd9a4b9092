"""A registry that lost everything and is filled again takes nothing from who is called meanwhile."""

from dataclasses import replace

import pytest
from tests.unit.gateway.conftest import function, instance, worker

from aether.domain.function import FunctionConfig
from aether.domain.instance import Instance
from aether.gateway.routes import RouteTable
from aether.ports.registry import View, config_key, instance_key, worker_key

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
