"""Several gateways, controllers and workers in this process, over shared stores and simulated machines."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from obstore.store import LocalStore
from tests.engines import etcd_server, redis_server
from tests.integration.platform.conftest import NODE, archive

from aether.adapters.clock import SystemClock
from aether.adapters.etcd.election import EtcdElection
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.registry import EtcdRegistry
from aether.adapters.memory.election import MemoryElection
from aether.adapters.memory.function_logs import MemoryFunctionLogs
from aether.adapters.memory.job_queue import MemoryJobQueue
from aether.adapters.memory.notifications import MemoryNotifications
from aether.adapters.memory.registry import MemoryRegistry
from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.job_queue import RedisJobQueue
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.cli.data_dir import socket_directory
from aether.cli.roles.gateway import Around, make_api, make_gateway
from aether.cli.roles.scaling import LoneController, Scaling, look_out, scale_with
from aether.cli.settings import load_settings
from aether.cli.stores.opened import Stores
from aether.domain.instance import Instance
from aether.domain.memory import instance_bytes
from aether.gateway.gateway import Gateway
from aether.ports.election import Election
from aether.ports.vmm import MachineSpec
from aether.vmm.simulated.behaviour import Behaviour
from aether.vmm.simulated.driver import SimulatedVmm
from aether.worker.capacity import RESERVE, Capacity
from aether.worker.code_cache import CodeCache
from aether.worker.host import Host
from aether.worker.worker import Worker

__all__ = ["etcd_server", "redis_server"]


@dataclass
class Member:
    """One gateway. `kill` is as if its process had gone; what it holds runs out by itself."""

    gateway: Gateway
    client: httpx.AsyncClient
    stop: asyncio.Event
    tasks: list[asyncio.Task[None]]
    scaling: Scaling | None
    stores: Stores

    @property
    def leads(self) -> bool:
        return self.scaling is not None and self.scaling.leads()

    async def call(self, name: str, **headers: str) -> httpx.Response:
        return await self.client.get(
            f"/functions/{name}", headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    async def rollout(self, name: str) -> dict[str, object]:
        return (await self.client.get(f"/api/functions/{name}")).json()["rollout"]

    def instances(self, function_id: str) -> list[Instance]:
        return self.gateway.routes.instances(function_id)


@dataclass
class Cluster:
    """`gateway`, `controller` and `worker` start one more; all end with the test."""

    folder: Path
    stack: AsyncExitStack
    open: Callable[..., tuple[object, object, Election]]
    functions: SqlFunctionStore
    invocations: SqlInvocationLog
    behave: dict[str, Behaviour] = field(default_factory=dict)
    """By the environment's `BEHAVE`."""
    machines: dict[str, SimulatedVmm] = field(default_factory=dict)
    booted: Counter[str] = field(default_factory=Counter)
    """How many machines were started, by function id."""
    _count: int = 0

    def _stores(self, *etcd_url: str) -> tuple[Stores, Election]:
        """Of one more process, so to say."""
        registry, jobs, election = self.open(self.stack, *etcd_url)
        stores = Stores(
            code=ObjectCodeStore(LocalStore(self.folder / "code", mkdir=True)),
            registry=registry,
            jobs=jobs,
            notifications=MemoryNotifications(),
            logs=MemoryFunctionLogs(),
            clock=SystemClock(),
            functions=self.functions,
            invocations=self.invocations,
        )
        return stores, election

    async def gateway(self, *, with_controller: bool = True, etcd_url: str = "") -> Member:
        """`etcd_url`: by another way than the others."""
        self._count += 1
        folder = self.folder / f"gateway-{self._count}"
        settings = load_settings(data_dir=folder, port=0, api_key="a-key-only-for-tests")
        self.stack.enter_context(socket_directory(settings.sockets))
        stores, election = self._stores(*filter(None, [etcd_url]))
        gateway = make_gateway(settings, stores, settings.sockets)
        scaling = None
        if with_controller:
            scaling = scale_with(gateway, election, registry=stores.registry, clock=stores.clock)
        look_out(gateway, stores.clock, scaling)
        around = Around(runtimes={"node": NODE}, look_at_stores=_no_stores)
        stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
        api = make_api(settings, stores, gateway, around)
        tasks = [self._run(gateway.run(api, stop, address.set_result), stop)]
        if scaling is not None:
            tasks.append(self._run(scaling.candidate.run()))
        await asyncio.wait({tasks[0], address}, return_when=asyncio.FIRST_COMPLETED)
        host, port = address.result()
        client = httpx.AsyncClient(
            base_url=f"http://{host}:{port}",
            headers={"Authorization": "Bearer a-key-only-for-tests"},
            timeout=30,
        )
        await self.stack.enter_async_context(client)
        return Member(gateway, client, stop, tasks, scaling, stores)

    async def gateways(self, count: int = 2, *, beside: int = 0, **options: bool) -> list[Member]:
        """That know of each other, and of `beside` more."""
        members = [await self.gateway(**options) for _ in range(count)]
        await self.until(lambda: all(len(m.gateway.routes.gateways) == count + beside for m in members))
        return members

    async def controller(self) -> LoneController:
        stores, election = self._stores()
        lone = LoneController(
            registry=stores.registry, jobs=stores.jobs, election=election, clock=stores.clock
        )
        stop = asyncio.Event()
        self._run(lone.run(stop), stop)
        return lone

    async def worker(self, name: str = "wrk-1", *, instances: int = 64) -> Worker:
        """With room for so many instances of 128 MB."""
        stores, _ = self._stores()

        def behaviour(spec: MachineSpec) -> Behaviour:
            self.booted[spec.function_id] += 1
            return self.behave.get(spec.env.get("BEHAVE", ""), Behaviour())

        vmm = self.machines[name] = SimulatedVmm(behaviour)
        self.stack.push_async_callback(vmm.close)
        lease = await stores.registry.lease(name)
        self.stack.push_async_callback(lease.close)
        code = CodeCache(stores.code, self.folder / name)
        code.sweep()
        host = Host(name, "127.0.0.1", vmm, {"node": NODE}, code, lease, MemoryFunctionLogs(), stores.clock)
        total = RESERVE + instances * instance_bytes(128)
        capacity = Capacity(lambda: (total, total))
        worker, stop = Worker(host, stores.registry, stores.jobs, capacity), asyncio.Event()
        self._run(worker.run(stop), stop)
        return worker

    async def deploy(self, member: Member, name: str, code: str = "// code", **fields: object) -> str:
        """Create a function with code; its id."""
        made = await member.client.post("/api/functions", json={"name": name, "runtime": "node", **fields})
        assert made.status_code == 201, made.text
        await self.upload(member, name, code)
        return str(made.json()["id"])

    async def upload(self, member: Member, name: str, code: str) -> None:
        answer = await member.client.post(
            f"/api/functions/{name}/code",
            content=archive(handler_js=code),
            headers={"X-Filename": "code.tar.gz"},
        )
        assert answer.status_code == 200, answer.text

    async def until(self, condition: Callable[[], object], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.01)

    def _run(self, life, stop: asyncio.Event | None = None) -> asyncio.Task[None]:
        task = asyncio.ensure_future(life)

        async def end() -> None:
            if stop is not None:
                stop.set()
            else:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        self.stack.push_async_callback(end)
        return task


async def _no_stores() -> list[object]:
    return []


def _in_memory() -> Callable[[AsyncExitStack], tuple[object, object, Election]]:
    registry, jobs = MemoryRegistry(), MemoryJobQueue(SystemClock())
    election = MemoryElection(registry)
    return lambda _stack: (registry, jobs, election)


def _on_engines(etcd_url: str, redis_url: str) -> Callable[[AsyncExitStack], tuple[object, object, Election]]:
    def opened(stack: AsyncExitStack, url: str = etcd_url) -> tuple[object, object, Election]:
        gateway = JsonGateway([url])
        stack.push_async_callback(gateway.aclose)
        registry, election = EtcdRegistry(gateway), EtcdElection(gateway)
        stack.push_async_callback(registry.aclose)
        stack.push_async_callback(election.aclose)
        clients = RedisClients.open(redis_url)
        stack.push_async_callback(clients.aclose)
        jobs = RedisJobQueue(clients)
        stack.push_async_callback(jobs.aclose)
        return registry, jobs, election

    return opened


async def _cluster(folder: Path, opened: Callable) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        database = await open_database(sqlite_url(folder / "aether.db"))
        stack.push_async_callback(database.close)
        yield Cluster(folder, stack, opened, SqlFunctionStore(database), SqlInvocationLog(database))


async def _over_engines(etcd_url: str, redis_url: str, folder: Path) -> AsyncIterator[Cluster]:
    """They are emptied before."""
    clients = RedisClients.open(redis_url)
    async with AsyncExitStack() as stack:
        gateway = JsonGateway([etcd_url])
        stack.push_async_callback(gateway.aclose)
        await gateway.call("kv/deleterange", {"key": "AA==", "range_end": "AA=="})
        stack.push_async_callback(clients.aclose)
        await clients.commands.flushall()
    async for cluster in _cluster(folder, _on_engines(etcd_url, redis_url)):
        yield cluster


@pytest.fixture
async def cluster(tmp_path) -> AsyncIterator[Cluster]:
    """In memory."""
    async for cluster in _cluster(tmp_path, _in_memory()):
        yield cluster


@pytest.fixture
async def engines(etcd_server, redis_server, tmp_path) -> AsyncIterator[Cluster]:
    """Over real etcd and Redis."""
    async for cluster in _over_engines(etcd_server.url, redis_server.url, tmp_path):
        yield cluster


@pytest.fixture(params=["memory", "engines"])
async def both(request, tmp_path) -> AsyncIterator[Cluster]:
    """In memory, and over real etcd and Redis."""
    if request.param == "memory":
        async for cluster in _cluster(tmp_path, _in_memory()):
            yield cluster
    else:
        etcd, redis = (request.getfixturevalue(f"{name}_server") for name in ("etcd", "redis"))
        async for cluster in _over_engines(etcd.url, redis.url, tmp_path):
            yield cluster
