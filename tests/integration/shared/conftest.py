"""Two gateways' management over one database and one registry: real PostgreSQL, real etcd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from tests.databases import emptied
from tests.engines import EtcdServer, etcd_server
from tests.postgres import PostgresServer, postgres_server

from aether.adapters.clock import SystemClock
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.registry import EtcdRegistry
from aether.adapters.memory.function_logs import MemoryFunctionLogs
from aether.adapters.memory.notifications import MemoryNotifications
from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.gateway.api.changes import FunctionChanges
from aether.gateway.good_versions import GoodVersions
from aether.gateway.repair import ConfigRepair
from aether.gateway.routes import RouteTable
from aether.gateway.settled import SettledRegistry
from aether.ports.clock import Clock
from aether.ports.code_store import CodeStore
from aether.ports.function_logs import FunctionLogs
from aether.ports.notifications import Notifications
from aether.ports.registry import Registry
from aether.ports.vmm import Runtime

__all__ = ["etcd_server", "postgres_server"]

NODE = Runtime("node", Path("root.ext4"), ("node",), "handler.js")


@dataclass(frozen=True, slots=True)
class Stores:
    functions: SqlFunctionStore
    code: CodeStore
    logs: FunctionLogs
    registry: Registry
    notifications: Notifications
    clock: Clock


class Side:
    """What of a gateway looks after functions: its API's changes, its routes, its repair."""

    def __init__(self, functions: SqlFunctionStore, registry: EtcdRegistry, code: CodeStore) -> None:
        self.functions, self.registry = functions, registry
        self.routes = RouteTable()
        settled = SettledRegistry(registry, self.routes)
        self.repair = ConfigRepair(functions, settled, self.routes.generations, self.routes.forget)
        self.routes.on_view = self.repair.soon
        self.good = GoodVersions(functions, registry)
        self.changes = FunctionChanges(
            Stores(functions, code, MemoryFunctionLogs(), settled, MemoryNotifications(), SystemClock()),
            {"node": NODE},
        )

    async def seen(self, condition, within_s: float = 1.0) -> None:
        """By its routes."""
        async with asyncio.timeout(within_s):
            while not condition(self.routes):
                await asyncio.sleep(0.005)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.routes.follow(self.registry))
            group.create_task(self.good.run())
            await self.routes.loaded.wait()
            group.create_task(self.repair.run())


@pytest.fixture
async def sides(etcd_server: EtcdServer, postgres_server: PostgresServer) -> AsyncIterator[tuple[Side, Side]]:
    async with AsyncExitStack() as stack:
        code = ObjectCodeStore(MemoryStore())
        both, running = [], []
        for _ in range(2):
            database = await stack.enter_async_context(emptied(postgres_server))
            etcd = await stack.enter_async_context(aclosing(JsonGateway([etcd_server.url])))
            await etcd.call("kv/deleterange", {"key": "AA==", "range_end": "AA=="})
            registry = await stack.enter_async_context(aclosing(EtcdRegistry(etcd)))
            both.append(Side(SqlFunctionStore(database), registry, code))
        running = [asyncio.ensure_future(side.run()) for side in both]
        try:
            await asyncio.gather(*(side.repair.tried.wait() for side in both))
            yield both[0], both[1]
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
