"""Functions of the cluster scenarios: on all hosts, on some, and on a single one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.api import Api


@dataclass(frozen=True)
class Function:
    """`instances` are always there, and `more` may come; `rate` is of the load, a second."""

    name: str
    instances: int
    rate: float
    more: int = 0
    deadline_s: float = 20.0

    def fields(self) -> dict[str, Any]:
        return {
            "timeout_s": self.deadline_s,
            "min_instances": self.instances,
            "max_instances": self.instances + self.more,
        }


FUNCTIONS = (
    Function("app", 3, 20, more=1),
    Function("pair", 2, 15, more=1),
    Function("lone-1", 1, 5),
    Function("lone-2", 1, 5),
    Function("lone-3", 1, 5),
)
RATE = sum(function.rate for function in FUNCTIONS)
assert RATE == 50, "what the scenarios say they are"
BEHAVE = {"boot_s": 0.3, "respond_s": 0.05}


async def deploy_all(api: Api) -> None:
    for function in FUNCTIONS:
        await api.deploy(function.name, behave=BEHAVE, **function.fields())


async def _ready(api: Api, name: str) -> list[dict[str, Any]]:
    return [i for i in await api.instances(name) if i["status"] == "ready"]


async def hosts_of(api: Api) -> dict[str, set[str]]:
    """The workers that each function's ready instances are on."""
    return {f.name: {i["worker_id"] for i in await _ready(api, f.name)} for f in FUNCTIONS}


async def ready_ids(api: Api) -> dict[str, set[str]]:
    """The ready instances of each function."""
    return {f.name: {i["instance_id"] for i in await _ready(api, f.name)} for f in FUNCTIONS}


async def all_there(api: Api) -> bool:
    """Every function has its instances ready."""
    return all([len(await _ready(api, f.name)) >= f.instances for f in FUNCTIONS])
