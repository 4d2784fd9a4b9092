"""A host on which something else takes the memory: nothing starts, idle instances go, running requests stay.

The host is a control group that holds a process which really takes memory; the instances are simulated.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.platform.conftest import Platform, running

from aether.vmm.cgroups import Bounds, Group, Groups, HostMemory, NoPlace, find_place
from aether.vmm.cgroups.own import Hierarchy
from aether.vmm.simulated.behaviour import Behaviour
from aether.worker.capacity import RESERVE, Capacity

pytestmark = pytest.mark.slow

MIB = 1 << 20
TOTAL_MIB = 1000
EATS_MIB = 700
EATER = f"""
import sys
held = bytearray({EATS_MIB} << 20)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Group]:
    """A group with so much memory."""
    place = find_place()
    if isinstance(place, NoPlace) or "memory" in place.missing:
        pytest.skip(f"no memory groups here: {place.why if isinstance(place, NoPlace) else place.kind}")
    run_dir = tmp_path / "groups"
    run_dir.mkdir()
    groups = Groups(place, run_dir)
    group = groups.make("host", Bounds(memory_bytes=TOTAL_MIB * MIB, cpus=2, share=1, pids=50))
    yield group
    assert group.remove()
    groups.close()


@pytest.fixture
async def pressed(tmp_path: Path, host: Group) -> AsyncIterator[Platform]:
    directory = host.directories["memory"]
    controllers = frozenset[str]() if (directory / "memory.max").exists() else frozenset({"memory"})
    memory = HostMemory([Hierarchy(controllers, directory, directory)])
    async with running(tmp_path / "data", lambda _spec: Behaviour(), capacity=Capacity(memory)) as it:
        yield it


@asynccontextmanager
async def memory_eaten(host: Group) -> AsyncIterator[None]:
    eater = await asyncio.create_subprocess_exec(
        *host.entering([sys.executable, "-c", EATER]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert eater.stdin is not None
    assert eater.stdout is not None
    assert await eater.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        eater.stdin.close()
        assert await eater.wait() == 0


async def instances(platform: Platform, name: str) -> int:
    return len((await platform.client.get(f"/api/functions/{name}/instances")).json())


async def test_idle_instances_go_and_running_requests_stay(pressed: Platform, host: Group) -> None:
    for name in ("idle", "busy", "new"):
        await pressed.deploy(name)
    assert (await pressed.client.get("/functions/idle")).status_code == 200
    slow = asyncio.ensure_future(
        pressed.client.get("/functions/busy", headers={"X-Simulated-Respond-Ms": "6000"})
    )
    workers = pressed.embedded.gateway.routes.workers
    await pressed.until(lambda: any(worker.load for worker in workers.values()))
    async with memory_eaten(host):
        short = RESERVE - (TOTAL_MIB - EATS_MIB) * MIB
        await pressed.until(lambda: any(worker.short_of >= short for worker in workers.values()))
        [told] = (await pressed.client.get("/api/workers")).json()
        assert told["free_mem"] == 0
        assert short <= told["short_of"] < RESERVE
        answer = await pressed.client.get("/functions/new")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_capacity")
        assert "short of memory" in answer.json()["error"]["message"]
        async with asyncio.timeout(10):
            while await instances(pressed, "idle"):
                await asyncio.sleep(0.05)
        assert await instances(pressed, "busy") == 1
        assert (await slow).status_code == 200
    await pressed.until(lambda: not any(worker.short_of for worker in workers.values()))
    assert (await pressed.client.get("/functions/new")).status_code == 200
