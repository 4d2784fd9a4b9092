"""A worker over simulated instances that are there at once, over real etcd and Redis.

`python -m benchmarks.controlplane.worker ETCD REDIS FOLDER IP` prints one line of JSON, `{"id": …}`, when it
begins to take jobs, and works until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from obstore.store import LocalStore

from aether.adapters.clock import SystemClock
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.registry import EtcdRegistry
from aether.adapters.memory.function_logs import MemoryFunctionLogs
from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.job_queue import RedisJobQueue
from aether.cli.collection import settle
from aether.ports.vmm import Runtime
from aether.vmm.simulated import SimulatedVmm
from aether.worker.capacity import Capacity
from aether.worker.code_cache import CodeCache
from aether.worker.host import Host
from aether.worker.worker import Worker
from benchmarks.controlplane.profiling import profiled, quiet

NODE = Runtime("node", Path("/none"), ("node",), "handler.js", answers_probes=True)
PLENTY = 256 << 30


async def work(etcd_url: str, redis_url: str, folder: Path, ip: str) -> None:
    worker_id = f"wrk-{ip}"
    async with AsyncExitStack() as stack:
        etcd = JsonGateway([etcd_url])
        stack.push_async_callback(etcd.aclose)
        registry = EtcdRegistry(etcd)
        stack.push_async_callback(registry.aclose)
        clients = RedisClients.open(redis_url)
        stack.push_async_callback(clients.aclose)
        jobs = RedisJobQueue(clients)
        stack.push_async_callback(jobs.aclose)
        vmm = SimulatedVmm()
        stack.push_async_callback(vmm.close)
        lease = await registry.lease(worker_id)
        stack.push_async_callback(lease.close)
        host = Host(
            worker_id,
            ip,
            vmm,
            {"node": NODE},
            NoCode(ObjectCodeStore(LocalStore(folder / "store", mkdir=True)), folder / "cache"),
            lease,
            MemoryFunctionLogs(),
            SystemClock(),
        )
        worker = Worker(host, registry, jobs, Capacity(lambda: (PLENTY, PLENTY)))
        stop = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
        settle()
        print(json.dumps({"id": worker_id}), flush=True)
        await worker.run(stop)


class NoCode(CodeCache):
    """Whatever is asked for is there: how code gets to a worker is not what is measured."""

    async def image(self, function_id: str, sha256: str, instance_id: str = "") -> Path:  # noqa: ARG002
        return Path("/none")


def main() -> None:
    quiet()
    with profiled("worker"):
        uvloop.run(work(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4]))


if __name__ == "__main__":
    main()
