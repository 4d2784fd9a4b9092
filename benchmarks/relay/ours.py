"""The real gateway and a real instance proxy in one process, before a given backend.

`python -m benchmarks.relay.ours BACKEND_PORT FOLDER` serves until its standard input ends. It prints
one line of JSON: `{"port": …}`. `/functions/direct/…` goes from the edge straight to the backend,
`/functions/proxied/…` through an instance proxy in the same process, and `/functions/remote/…` through one
that the gateway reaches by TCP, as on another host. Everything that `aether up` does to a call is done:
limits, deadlines, records into SQLite, metrics.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
import uvloop
from fastapi import FastAPI

from aether.adapters.clock import SystemClock
from aether.adapters.memory.job_queue import MemoryJobQueue
from aether.adapters.memory.registry import MemoryRegistry
from aether.adapters.sql.database import open_database, sqlite_url
from aether.adapters.sql.function_store import SqlFunctionStore
from aether.adapters.sql.invocation_log import SqlInvocationLog
from aether.cli.collection import settle
from aether.domain.function import Function, Limits, Version
from aether.domain.instance import Instance, InstanceStatus
from aether.gateway.gateway import Gateway, GatewaySettings
from aether.http import Neighbours
from aether.ports.vmm import End, MachineSpec, MachineState, Runtime
from aether.vmm.simulated import SimulatedVmm
from aether.worker.instance_proxy import InstanceProxy

HOST = "127.0.0.1"
FIRST_PROXY_PORT = 41_000
CONCURRENCY = 1000
"""One instance has to take all of the load."""


@dataclass
class BackendMachine:
    """Implements `aether.ports.vmm.Machine` for a server that somebody else runs."""

    address: tuple[str, int]
    spec: MachineSpec
    internal_ip: str = HOST
    state: MachineState = MachineState.RUNNING
    phases: dict[str, float] = field(default_factory=dict)

    async def ended(self) -> End:
        """Never: it outlives this process."""
        never: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        return await never


async def serve(backend_port: int, folder: Path) -> None:
    clock = SystemClock()
    database = await open_database(sqlite_url(folder / "bench.db"))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        functions, registry, neighbours = SqlFunctionStore(database), MemoryRegistry(), Neighbours()
        lease = await registry.lease("bench")
        ports = {"direct": backend_port}
        for name, reached_by in (("proxied", neighbours), ("remote", None)):
            proxy = _proxy(name, backend_port, folder, clock, reached_by)
            ports[name] = await stack.enter_async_context(proxy.listening(HOST, FIRST_PROXY_PORT))
        for name, port in ports.items():
            function = _function(name)
            await functions.create(function)
            await registry.put_function(function.to_config())
            await lease.put_instance(_instance(function, port))
        gateway = Gateway(
            GatewaySettings(HOST, 0, folder / "api.sock", frozenset({"key"}), timedelta(days=1)),
            registry=registry,
            jobs=MemoryJobQueue(clock),
            functions=functions,
            invocations=SqlInvocationLog(database),
            clock=clock,
            neighbours=neighbours,
        )
        stop = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
        await gateway.run(FastAPI(), stop, _ready)


def _ready(address: tuple[str, int]) -> None:
    settle()
    print(json.dumps({"port": address[1]}), flush=True)


def _function(name: str) -> Function:
    version = Version(1, "node", "handler.js", "0" * 64, 1, 128, 3000, {})
    now = datetime.now(UTC)
    limits = Limits(max_concurrency=CONCURRENCY)
    return Function(f"fn-{name}", name, version, "", now, now, limits, good=version)


def _instance(function: Function, port: int) -> Instance:
    return Instance(
        f"inst-{function.name}",
        function.id,
        "bench",
        HOST,
        port,
        HOST,
        InstanceStatus.READY,
        datetime.now(UTC),
        1,
    )


def _proxy(
    name: str, backend_port: int, folder: Path, clock: SystemClock, neighbours: Neighbours | None
) -> InstanceProxy:
    runtime = Runtime("node", folder, ("node",), "handler.js")
    spec = MachineSpec(f"inst-{name}", f"fn-{name}", runtime, folder, "handler.js", 3000, 1, 128)
    limits = Limits(max_concurrency=CONCURRENCY)
    machine = BackendMachine((HOST, backend_port), spec)
    return InstanceProxy(SimulatedVmm(), machine, lambda: limits, clock, neighbours=neighbours)


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2])))


if __name__ == "__main__":
    main()
