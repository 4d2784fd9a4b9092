"""Our gateway and our workers over real etcd and Redis, in this process, over simulated machines."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import redis.asyncio
from fastapi import FastAPI
from obstore.store import LocalStore
from tests.engines import etcd_server, redis_server
from tests.integration.foreign.plain import PlainEtcd
from tests.s3 import s3_server

from aether.adapters.clock import SystemClock
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.registry import EtcdRegistry
from aether.adapters.memory.function_logs import MemoryFunctionLogs
from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.job_queue import RedisJobQueue
from aether.adapters.redis.notifications import RedisNotifications
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.controller.controller import Controller
from aether.domain.function import Function, Limits, Version
from aether.gateway.gateway import Gateway, GatewaySettings
from aether.ports.clock import Clock
from aether.ports.code_store import CodeStore
from aether.ports.job_queue import JobQueue
from aether.ports.registry import Registry
from aether.ports.vmm import Runtime
from aether.vmm.simulated import SimulatedVmm
from aether.worker.capacity import Capacity
from aether.worker.code_cache import CodeCache
from aether.worker.host import Host
from aether.worker.worker import Worker

__all__ = ["etcd_server", "redis_server", "s3_server"]

NODE = Runtime("node", Path("/none"), ("node",), "handler.js", answers_probes=True)
CODE = b"code"
SHA256 = hashlib.sha256(CODE).hexdigest()
GIB = 1 << 30


class ShiftedClock(SystemClock):
    """A wall clock that is wrong by so much; time passes as it does."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


def function(name: str = "hello", limits: Limits | None = None) -> Function:
    version = Version(1, "node", "handler.js", SHA256, 1, 128, 3000, {"GREETING": "hi"})
    now = datetime.now(UTC)
    return Function(f"fn-{name}", name, version, "", now, now, limits or Limits(), good=version)


@dataclass
class Ours:
    """`gateway` and `worker` start one more; all end with the test."""

    etcd: PlainEtcd
    redis: redis.asyncio.Redis
    etcd_url: str
    redis_url: str
    folder: Path
    stack: AsyncExitStack
    workers: dict[str, Worker] = field(default_factory=dict)
    code_store: CodeStore | None = None
    """Instead of a directory."""
    _count: int = 0

    async def stores(self) -> tuple[Registry, JobQueue]:
        """Of one more process, so to say."""
        gateway = JsonGateway([self.etcd_url])
        self.stack.push_async_callback(gateway.aclose)
        registry = EtcdRegistry(gateway)
        self.stack.push_async_callback(registry.aclose)
        clients = RedisClients.open(self.redis_url)
        self.stack.push_async_callback(clients.aclose)
        jobs = RedisJobQueue(clients)
        self.stack.push_async_callback(jobs.aclose)
        return registry, jobs

    async def gateway(self, *functions: Function, clock: Clock | None = None) -> httpx.AsyncClient:
        """With its controller, and these functions in its database; a client of it."""
        self._count += 1
        folder = self.folder / f"gateway-{self._count}"
        folder.mkdir()
        registry, jobs = await self.stores()
        database = await open_database(sqlite_url(folder / "aether.db"))
        self.stack.push_async_callback(database.close)
        store = SqlFunctionStore(database)
        for each in functions:
            await store.create(each)
        clock = clock or SystemClock()
        gateway = Gateway(
            GatewaySettings("127.0.0.1", 0, folder / "api.sock", frozenset({"key"}), timedelta(days=1)),
            registry=registry,
            jobs=jobs,
            functions=store,
            invocations=SqlInvocationLog(database),
            clock=clock,
        )
        controller = Controller(gateway.routes, gateway.activator, registry, clock)
        address, stop = asyncio.get_running_loop().create_future(), asyncio.Event()
        await self._run(gateway.run(FastAPI(), stop, address.set_result), stop)
        await self._run(gateway.telling.run())
        await self._run(controller.run())
        host, port = await address
        client = httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=20)
        return await self.stack.enter_async_context(client)

    async def worker(self, name: str = "wrk-ours", clock: Clock | None = None, *, gib: int = 8) -> Worker:
        registry, jobs = await self.stores()
        folder = self.folder / name
        vmm = SimulatedVmm()
        self.stack.push_async_callback(vmm.close)
        lease = await registry.lease(name)
        self.stack.push_async_callback(lease.close)
        store = self.code_store or ObjectCodeStore(LocalStore(self.folder / "store", mkdir=True))
        code = CodeCache(store, folder / "cache")
        code.sweep()
        clients = RedisClients.open(self.redis_url)
        self.stack.push_async_callback(clients.aclose)
        notifications = RedisNotifications(clients)
        self.stack.push_async_callback(notifications.aclose)
        logs = MemoryFunctionLogs()
        clock = clock or SystemClock()
        host = Host(
            *(name, "127.0.0.1", vmm, {"node": NODE}, code, lease, logs, clock), notifications=notifications
        )
        worker = self.workers[name] = Worker(host, registry, jobs, Capacity(lambda: (gib * GIB, gib * GIB)))
        stop = asyncio.Event()
        await self._run(worker.run(stop), stop)
        await self.until(lambda: self.etcd.get(f"/workers/{name}"))
        return worker

    async def code(self, function_id: str, *, foreign: bool = False) -> None:
        """In the object store; as a foreign gateway puts it, or as ours does."""
        key = "code" if foreign else SHA256
        path = self.folder / "store" / function_id / f"{key}.ext4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CODE)

    async def until(self, condition, within_s: float = 10.0):
        """Look until it is so; what was found."""
        async with asyncio.timeout(within_s):
            while not (found := await condition()):
                await asyncio.sleep(0.02)
        return found

    async def _run(self, life, stop: asyncio.Event | None = None) -> None:
        task = asyncio.ensure_future(life)

        async def end() -> None:
            if stop is not None:
                stop.set()
            else:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        self.stack.push_async_callback(end)


@asynccontextmanager
async def cleaned(etcd: PlainEtcd, client: redis.asyncio.Redis) -> AsyncIterator[None]:
    await etcd.clear()
    await client.flushall()
    yield


@pytest.fixture
async def ours(etcd_server, redis_server, tmp_path) -> AsyncIterator[Ours]:
    async with AsyncExitStack() as stack:
        etcd = await stack.enter_async_context(PlainEtcd.at(etcd_server.url))
        client = redis.asyncio.Redis.from_url(redis_server.url)
        stack.push_async_callback(client.aclose)
        await stack.enter_async_context(cleaned(etcd, client))
        yield Ours(etcd, client, etcd_server.url, redis_server.url, tmp_path, stack)
