"""The API over the adapters of `aether up`: SQLite, local files, memory."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import uvicorn
from obstore.store import LocalStore
from prometheus_client import CollectorRegistry, Counter

from aether.adapters.clock import SystemClock
from aether.adapters.memory.function_logs import MemoryFunctionLogs
from aether.adapters.memory.notifications import MemoryNotifications
from aether.adapters.memory.registry import MemoryRegistry
from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.domain.errors import NoCode
from aether.domain.function import Function
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import InstanceLoad, Worker
from aether.gateway.api import ApiDependencies, create_api
from aether.gateway.rollouts import Rollouts
from aether.ports.vmm import Runtime

KEY = "key-of-the-tests"
NODE = Runtime("node", Path("node.ext4"), ("node",), "handler.js", digest="d1")
PYTHON = Runtime("python", Path("python.ext4"), ("python3",), "handler.py", digest="d2")


@dataclass
class Platform:
    """The dependencies, and clients on an API made of them."""

    deps: ApiDependencies

    def client(self, *, key: str | None = KEY, **changes: object) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(create_api(replace(self.deps, **changes)))
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)


@pytest.fixture
async def platform(tmp_path) -> AsyncIterator[Platform]:
    database = await open_database(sqlite_url(tmp_path / "aether.db"))
    bucket = tmp_path / "function-code"
    metrics = CollectorRegistry()
    Counter("aether_requests", "Calls ended", registry=metrics)
    rollouts = Rollouts()

    def start(function: Function) -> None:
        if not function.version.code_sha256:
            raise NoCode("it has no code yet")

    deps = ApiDependencies(
        rollout=lambda function: rollouts.of(function.to_config()),
        start=start,
        functions=SqlFunctionStore(database),
        code=ObjectCodeStore(LocalStore(str(bucket), mkdir=True)),
        invocations=SqlInvocationLog(database),
        logs=MemoryFunctionLogs(),
        registry=MemoryRegistry(),
        notifications=MemoryNotifications(),
        clock=SystemClock(),
        runtimes={NODE.name: NODE, PYTHON.name: PYTHON},
        work_dir=tmp_path / "work",
        api_keys=frozenset({"another", KEY}),
        metrics=metrics,
        vmm="simulated",
        accel="none",
    )
    yield Platform(deps)
    left = list(deps.work_dir.glob("*")) if deps.work_dir.exists() else []
    await database.close()
    assert left == [], "the API left files behind"


@pytest.fixture
async def api(platform) -> AsyncIterator[httpx.AsyncClient]:
    async with platform.client() as client:
        yield client


@pytest.fixture
async def served(platform):
    """The API on a real server: only there do streams stream."""
    app = create_api(platform.deps)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    listening = asyncio.Event()

    async def serve():
        config = server.config
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        listening.set()
        await server.main_loop()
        await server.shutdown()

    async with asyncio.TaskGroup() as group:
        group.create_task(serve())
        await listening.wait()
        yield server.servers[0].sockets[0].getsockname()
        server.should_exit = True


@pytest.fixture
def make(api) -> Callable:
    """Makes a function, and returns its JSON."""

    async def make(name: str = "hello", **fields: object) -> dict:
        response = await api.post("/api/functions", json={"name": name, "runtime": "node", **fields})
        assert response.status_code == 201, response.text
        return response.json()

    return make


def zip_of(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10)), content)
    return buffer.getvalue()


@pytest.fixture
def zipped() -> Callable[[dict[str, str | bytes]], bytes]:
    return zip_of


@pytest.fixture
def worker() -> Worker:
    return Worker(
        id="wrk-1",
        hostname="host",
        public_ip="127.0.0.1",
        total_cpu=2,
        total_mem=1 << 30,
        version="0.1.0",
        last_heartbeat=datetime.now(UTC),
        free_mem=1 << 29,
        free_slots=3,
        runtimes=("node",),
        instances={"inst-1": InstanceLoad("fn-x", 2, 0.0)},
        starting={"fn-x": 1},
        short_of=5,
        instance_overhead=7,
        max_instances=9,
        limits="cgroup v2",
    )


@pytest.fixture
def instance() -> Callable[[str], Instance]:
    def of(function_id: str) -> Instance:
        now = datetime.now(UTC)
        status = InstanceStatus.READY
        return Instance(
            "inst-1", function_id, "wrk-1", "127.0.0.1", 30000, "10.0.0.2", status, now, revision=2
        )

    return of
