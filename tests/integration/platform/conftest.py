"""The whole platform in this process, over simulated machines."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from aether.cli.data_dir import api_key, socket_directory
from aether.cli.embedded import Embedded, Stores, open_stores
from aether.cli.settings import load_settings
from aether.ports.vmm import MachineSpec, Runtime, Vmm
from aether.vmm.simulated.behaviour import Behaviour
from aether.vmm.simulated.driver import SimulatedVmm
from aether.worker.capacity import Capacity

NODE = Runtime("node", Path("/none"), ("node",), "handler.js")


def archive(**files: str) -> bytes:
    """A tar.gz with these files; `handler_js` stands for `handler.js`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in (files or {"handler_js": "// code"}).items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


@dataclass
class Platform:
    client: httpx.AsyncClient
    embedded: Embedded
    stores: Stores
    stop: asyncio.Event
    ended: Callable[[], bool]
    data_dir: Path
    behave: dict[str, Behaviour] = field(default_factory=dict)

    async def deploy(self, name: str, code: bytes | None = None, **fields: object) -> str:
        """Create a function with code; its id."""
        made = await self.client.post("/api/functions", json={"name": name, "runtime": "node", **fields})
        assert made.status_code == 201, made.text
        await self.upload(name, code)
        return str(made.json()["id"])

    async def upload(self, name: str, code: bytes | None = None) -> httpx.Response:
        answer = await self.client.post(
            f"/api/functions/{name}/code", content=code or archive(), headers={"X-Filename": "code.tar.gz"}
        )
        assert answer.status_code == 200, answer.text
        return answer

    async def until(self, condition: Callable[[], object], within_s: float = 10.0) -> None:
        """The platform's own pace is a second: look until it is so."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.01)


def running(
    data_dir: Path,
    behave: Callable[[MachineSpec], Behaviour],
    capacity: Capacity | None = None,
    **options: object,
) -> AbstractAsyncContextManager[Platform]:
    """Over machines that behave so."""
    return running_on(SimulatedVmm(behave), {"node": NODE}, data_dir, capacity, **options)


@asynccontextmanager
async def running_on(
    vmm: Vmm,
    runtimes: dict[str, Runtime],
    data_dir: Path,
    capacity: Capacity | None = None,
    **options: object,
) -> AsyncIterator[Platform]:
    settings = load_settings(data_dir=data_dir, port=0, **options)
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as stack:
        stack.enter_context(socket_directory(settings.sockets))
        stores = await stack.enter_async_context(open_stores(settings))
        embedded = Embedded(settings, stores, vmm, runtimes, capacity=capacity)
        run = asyncio.ensure_future(embedded.run(stop, address.set_result))
        await asyncio.wait({run, address}, return_when=asyncio.FIRST_COMPLETED)
        if run.done():
            run.result()
        host, port = address.result()
        client = httpx.AsyncClient(
            base_url=f"http://{host}:{port}",
            headers={"Authorization": f"Bearer {api_key(data_dir)}"},
            timeout=30,
        )
        async with client:
            yield Platform(client, embedded, stores, stop, run.done, data_dir)
            stop.set()
        await run


@pytest.fixture
async def platform(tmp_path) -> AsyncIterator[Platform]:
    """`platform.behave["name of entrypoint"]` decides how machines of that entrypoint behave."""
    behaviours: dict[str, Behaviour] = {}
    default = Behaviour()
    async with running(
        tmp_path / "data", lambda spec: behaviours.get(spec.env.get("BEHAVE", ""), default)
    ) as it:
        it.behave = behaviours
        yield it
    assert list((tmp_path / "data").glob("work/*")) == [], "temporary files are left"
