"""What the controller sees of the cluster, and whom it asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from aether.domain.function import FunctionConfig, Version
from aether.domain.instance import Instance
from aether.domain.worker import Worker


class Routes(Protocol):
    """What the cluster looks like; a gateway's route table is one."""

    @property
    def workers(self) -> Mapping[str, Worker]: ...
    def functions(self) -> Iterable[FunctionConfig]: ...
    def instances(self, function_id: str) -> list[Instance]: ...
    def serving(self, function: FunctionConfig) -> Version: ...
    def rolls(self, function: FunctionConfig) -> bool: ...
    def is_broken(self, function: FunctionConfig) -> bool: ...
    def has_room(self, memory_mib: int) -> bool: ...


class Demand(Protocol):
    """Requests that wait, and how starts are asked for; a gateway's activator is one."""

    def waiting(self, function_id: str) -> int: ...

    def starting(self, function: FunctionConfig) -> int: ...

    def missing_room(self) -> Mapping[str, int]:
        """Instances that are asked for and no worker has room for, by function id."""
        ...

    def start(self, function: FunctionConfig, count: int) -> bool:
        """False for one that keeps failing, until some time has passed."""
        ...

    def try_again(self, function: FunctionConfig) -> None: ...
