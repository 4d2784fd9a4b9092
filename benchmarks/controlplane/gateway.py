"""A gateway with the controller, over real etcd and Redis.

`python -m benchmarks.controlplane.gateway ETCD REDIS FOLDER FUNCTIONS` creates so many functions, puts their
configurations into etcd, prints one line of JSON, `{"port": …}`, and serves until its standard input ends.
Everything that `aether gateway --with-controller` does to a call is done, records into SQLite included.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop
from fastapi import FastAPI

from aether.adapters.clock import SystemClock
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.registry import EtcdRegistry
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.job_queue import RedisJobQueue
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.cli.collection import settle
from aether.controller.controller import Controller
from aether.domain.function import Function, Version
from aether.gateway.gateway import Gateway, GatewaySettings
from benchmarks.controlplane.profiling import profiled, quiet

SHA256 = "0" * 64


def function(number: int) -> Function:
    version = Version(1, "node", "handler.js", SHA256, 1, 128, 3000, {"NUMBER": str(number)})
    now = datetime.now(UTC)
    return Function(f"fn-{number}", f"f{number}", version, "", now, now, good=version)


async def serve(etcd_url: str, redis_url: str, folder: Path, functions: int) -> None:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        database = await open_database(sqlite_url(folder / "bench.db"))
        stack.push_async_callback(database.close)
        etcd = JsonGateway([etcd_url])
        stack.push_async_callback(etcd.aclose)
        registry = EtcdRegistry(etcd)
        stack.push_async_callback(registry.aclose)
        clients = RedisClients.open(redis_url)
        stack.push_async_callback(clients.aclose)
        jobs = RedisJobQueue(clients)
        stack.push_async_callback(jobs.aclose)
        store = SqlFunctionStore(database)
        for each in map(function, range(functions)):
            await store.create(each)
            await registry.put_function(each.to_config())
        gateway = Gateway(
            GatewaySettings("127.0.0.1", 0, folder / "api.sock", frozenset({"key"}), timedelta(days=1)),
            registry=registry,
            jobs=jobs,
            functions=store,
            invocations=SqlInvocationLog(database),
            clock=clock,
        )
        controller = Controller(gateway.routes, gateway.activator, registry, clock)
        gateway.activator.room_can_be_made = controller.room_can_be_made
        stop = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
        async with asyncio.TaskGroup() as group:
            scaling = group.create_task(controller.run())
            await gateway.run(FastAPI(), stop, _ready)
            scaling.cancel()


def _ready(address: tuple[str, int]) -> None:
    settle()
    print(json.dumps({"port": address[1]}), flush=True)


def main() -> None:
    quiet()
    with profiled("gateway"):
        uvloop.run(serve(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))


if __name__ == "__main__":
    main()
