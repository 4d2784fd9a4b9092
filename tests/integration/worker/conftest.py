"""Workers as they are on hosts of their own: real etcd and Redis, simulated machines that outlive them."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from obstore.store import LocalStore
from tests.engines import EtcdServer, RedisServer, etcd_server, redis_server
from tests.proxies import Network, network

from aether.adapters.clock import SystemClock
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.registry import EtcdRegistry
from aether.adapters.memory.function_logs import MemoryFunctionLogs
from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.job_queue import RedisJobQueue
from aether.domain.function import FunctionConfig, Limits, Version
from aether.domain.instance import Instance
from aether.domain.job import JobReply, ProvisionJob
from aether.domain.worker import Worker as WorkerRecord
from aether.ports.registry import instance_key, worker_key
from aether.ports.vmm import MachineSpec, Runtime
from aether.vmm.simulated.behaviour import Behaviour
from aether.vmm.simulated.driver import SimulatedHost, SimulatedVmm
from aether.worker.capacity import Capacity
from aether.worker.code_cache import CodeCache
from aether.worker.home import open_home
from aether.worker.host import Host
from aether.worker.role import Ended, run

__all__ = ["etcd_server", "redis_server"]

NODE = Runtime("node", Path("/none"), ("node",), "handler.js", answers_probes=True)
CODE = hashlib.sha256(b"code").hexdigest()
GIB = 1 << 30
LEASE_S = 2
"""The contract's 10 s, in short; so is the time after which Redis takes a worker for dead."""


@dataclass
class Machine:
    """One host: what is there when its worker's process isn't."""

    directory: Path
    machines: SimulatedHost = field(default_factory=SimulatedHost)
    etcd: Network | None = None
    redis: Network | None = None
    """Its network; None for one that is never cut."""

    def cut(self, *nets: Network) -> None:
        """From these stores, or from both."""
        for net in nets or (self.etcd, self.redis):
            assert net is not None
            net.refuses = True
            net.cut()

    def heal(self) -> None:
        for net in (self.etcd, self.redis):
            assert net is not None
            net.refuses = False

    def running(self) -> list[str]:
        """Machines that run here."""
        return sorted(name for name, it in self.machines.machines.items() if not it.has_ended)


@dataclass
class Process:
    """A worker's process on a host."""

    task: asyncio.Task[Ended]
    stop: asyncio.Event
    hurry: asyncio.Event
    address: tuple[str, int]
    logs: MemoryFunctionLogs

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            return await client.get(f"http://{self.address[0]}:{self.address[1]}{path}")

    async def ended(self, within_s: float = 20) -> Ended:
        return await asyncio.wait_for(asyncio.shield(self.task), within_s)


class Cluster:
    """Stores, hosts, and what a gateway would see."""

    def __init__(self, etcd: EtcdServer, redis: RedisServer, directory: Path, stack: AsyncExitStack) -> None:
        self.etcd = etcd
        self.redis = redis
        self.directory = directory
        self.behave: dict[str, Behaviour] = {}
        self.total_bytes = 8 * GIB
        self.sha256 = CODE
        self._stack = stack
        self._names = itertools.count(1)
        self._code = ObjectCodeStore(LocalStore(directory / "store", mkdir=True))

    async def open(self) -> None:
        image = self.directory / "image"
        image.write_bytes(b"code")
        await self._code.put("fn-1", CODE, image)
        self.registry, self.jobs = await self._stores(self._stack, None)
        self.replies = await self._stack.enter_async_context(aclosing(self.jobs.replies("test")))

    async def machine(self, *, cut_off: bool = False) -> Machine:
        """A new host; `cut_off`: it may be, from the stores."""
        machine = Machine(self.directory / f"host-{next(self._names)}")
        self._stack.push_async_callback(end_all, machine.machines)
        if cut_off:
            machine.etcd = await self._stack.enter_async_context(network(self.etcd.port))
            machine.redis = await self._stack.enter_async_context(network(self.redis.port))
        return machine

    @asynccontextmanager
    async def worker(self, machine: Machine, worker_id: str = "") -> AsyncIterator[Process]:
        """Its process, until it ends by itself or is left: then it is asked to stop."""
        ready = asyncio.get_running_loop().create_future()
        process = Process(None, asyncio.Event(), asyncio.Event(), ("", 0), MemoryFunctionLogs())  # type: ignore[arg-type]
        process.task = asyncio.ensure_future(self._run(machine, worker_id, process, ready))
        try:
            await asyncio.wait({process.task, ready}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                await process.task
            process.address = ready.result()
            yield process
        finally:
            process.stop.set()
            await asyncio.gather(process.task, return_exceptions=True)

    async def _run(
        self, machine: Machine, worker_id: str, process: Process, ready: asyncio.Future[tuple[str, int]]
    ) -> Ended:
        vmm = SimulatedVmm(self._behaviour, host=machine.machines, embedded=False)
        async with AsyncExitStack() as stack:
            home = stack.enter_context(open_home(machine.directory, worker_id))
            registry, jobs = await self._stores(stack, machine)
            code = CodeCache(self._code, machine.directory / "code-cache")
            code.sweep()
            return await run(
                home,
                lambda lease: Host(
                    home.worker_id, "127.0.0.1", vmm, {"node": NODE}, code, lease, process.logs, SystemClock()
                ),
                registry=registry,
                jobs=jobs,
                capacity=Capacity(lambda: (self.total_bytes, self.total_bytes)),
                address=("127.0.0.1", 0),
                drain_timeout_s=5,
                stop=process.stop,
                hurry=process.hurry,
                on_ready=ready.set_result,
            )

    async def _stores(
        self, stack: AsyncExitStack, machine: Machine | None
    ) -> tuple[EtcdRegistry, RedisJobQueue]:
        etcd = machine.etcd.port if machine is not None and machine.etcd else self.etcd.port
        redis = machine.redis.port if machine is not None and machine.redis else self.redis.port
        gateway = await stack.enter_async_context(aclosing(JsonGateway([f"http://127.0.0.1:{etcd}"])))
        registry = await stack.enter_async_context(aclosing(EtcdRegistry(gateway, lease_ttl_s=LEASE_S)))
        clients = await stack.enter_async_context(aclosing(RedisClients.open(f"127.0.0.1:{redis}")))
        jobs = await stack.enter_async_context(aclosing(RedisJobQueue(clients, alive_s=LEASE_S)))
        return registry, jobs

    def _behaviour(self, spec: MachineSpec) -> Behaviour:
        return self.behave.get(spec.env.get("BEHAVE", ""), Behaviour())

    # What a gateway does

    async def put_code(self, image: Path) -> None:
        """Of the function, as `sha256`, which is what `put` says then."""
        self.sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
        await self._code.put("fn-1", self.sha256, image)
        await self.put()

    async def put(self, revision: int = 1, good: int | None = None, limits: Limits | None = None) -> None:
        def version(number: int) -> Version:
            return Version(number, "node", "", self.sha256, 1, 128, 3000, {})

        known = None if good is None else version(good)
        config = FunctionConfig("fn-1", "hello", version(revision), limits or Limits(), known)
        await self.registry.put_function(config)

    async def submit(self, request_id: str, worker_id: str | None = None, **changes: object) -> None:
        fields = {
            "request_id": request_id,
            "function_id": "fn-1",
            "runtime": "node",
            "entrypoint": "",
            "vcpu": 1,
            "memory_mb": 128,
            "port": 3000,
            "env_vars": {},
            "code_sha256": self.sha256,
            "remaining_ms": 30_000,
            "reply_to": "test",
            "revision": 1,
            **changes,
        }
        await self.jobs.submit(ProvisionJob(**fields), worker_id)  # type: ignore[arg-type]

    async def start(
        self, request_id: str, worker_id: str | None = None, within_s: float = 20, **changes: object
    ) -> Instance:
        """One instance, when it is in the registry."""
        await self.submit(request_id, worker_id, **changes)
        reply = await self.reply(within_s)
        assert reply.instance_id is not None, reply.error
        key = instance_key("fn-1", reply.instance_id)
        await self.until(lambda entries: key in entries)
        entry = (await self.registry.view()).entries[key]
        assert isinstance(entry, Instance)
        return entry

    async def reply(self, within_s: float = 20) -> JobReply:
        return await asyncio.wait_for(anext(self.replies), within_s)

    async def entries(self) -> dict[str, object]:
        return dict((await self.registry.view()).entries)

    async def instances(self) -> list[Instance]:
        return [entry for entry in (await self.entries()).values() if isinstance(entry, Instance)]

    async def record(self, worker_id: str) -> WorkerRecord | None:
        entry = (await self.entries()).get(worker_key(worker_id))
        return entry if isinstance(entry, WorkerRecord) else None

    async def until(self, condition: Callable[[dict[str, object]], object], within_s: float = 20) -> None:
        async with asyncio.timeout(within_s):
            while not condition(await self.entries()):
                await asyncio.sleep(0.02)


@pytest.fixture
async def cluster(
    etcd_server: EtcdServer, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(aclosing(JsonGateway([etcd_server.url])))
        await gateway.call("kv/deleterange", {"key": "AA==", "range_end": "AA=="})
        clients = await stack.enter_async_context(aclosing(RedisClients.open(redis_server.url)))
        await clients.commands.flushall()
        it = Cluster(etcd_server, redis_server, tmp_path, stack)
        await it.open()
        yield it


async def end_all(machines: SimulatedHost) -> None:
    """What a worker left, and a test did not take up again."""
    for machine in list(machines.machines.values()):
        await machine.stop(0)


async def call(instance: Instance, **headers: str) -> httpx.Response:
    """As a gateway does."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.get(f"http://{instance.host_ip}:{instance.proxy_port}/", headers=headers)
