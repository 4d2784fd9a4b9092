"""Gateways behind haproxy, restarted one after the other while calls go on: none is lost."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.cluster import haproxy
from tests.engines import free_port

from aether.cli.data_dir import socket_directory
from aether.cli.embedded import open_stores
from aether.cli.roles.gateway import Around, make_api, make_gateway
from aether.cli.settings import load_settings
from aether.cli.stores.opened import Stores
from aether.domain.function import Function, Limits, Version
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import Worker
from aether.gateway.api.status_views import StoreHealth

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not here"),
]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAUSE_S = 1
"""Longer than haproxy takes to notice that a gateway is not ready any more."""


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The function: says what it was sent; `/slow` takes half a second."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            body = await reader.readexactly(length)
            if b" /slow" in head:
                await asyncio.sleep(0.5)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


class Restarted:
    """A gateway, on the same port at each start."""

    def __init__(self, stores: Stores, folder: Path) -> None:
        self.settings = load_settings(
            data_dir=folder, port=free_port(), api_key="sixteen-letters!", stop_pause_s=PAUSE_S, auth="off"
        )
        self._stores = stores
        self._stop = asyncio.Event()
        self._running: asyncio.Future[None] | None = None

    async def start(self) -> None:
        self._stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        gateway = make_gateway(self.settings, self._stores, self.settings.sockets)
        api = make_api(self.settings, self._stores, gateway, Around(runtimes={}, look_at_stores=no_stores))
        self._running = asyncio.ensure_future(gateway.run(api, self._stop, ready.set_result))
        await asyncio.wait({self._running, ready}, return_when=asyncio.FIRST_COMPLETED)
        await ready

    async def stop(self) -> None:
        self._stop.set()
        if self._running is not None:
            await self._running


async def no_stores() -> list[StoreHealth]:
    return []


@asynccontextmanager
async def two_gateways(folder: Path) -> AsyncIterator[tuple[Restarted, Restarted, str]]:
    """And the address of the haproxy before them; behind them one instance of `hello`."""
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(load_settings(data_dir=folder / "stores")))
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        stack.callback(server.close)
        await registered(stores, server.sockets[0].getsockname()[1])
        gateways = Restarted(stores, folder / "one"), Restarted(stores, folder / "other")
        for gateway in gateways:
            stack.enter_context(socket_directory(gateway.settings.sockets))
            await gateway.start()
            stack.push_async_callback(gateway.stop)
        front = f"127.0.0.1:{free_port()}"
        configuration = folder / "haproxy.cfg"
        haproxy.write_configuration(
            configuration, [front], [f"127.0.0.1:{gateway.settings.port}" for gateway in gateways]
        )
        process = await asyncio.create_subprocess_exec(*haproxy.command(configuration))
        try:
            yield *gateways, f"http://{front}"
        finally:
            process.terminate()
            await process.wait()


async def registered(stores: Stores, port: int) -> None:
    version = Version(1, "node", "handler.js", "0" * 64, 1, 128, 3000, {})
    function = Function("fn-1", "hello", version, "", NOW, NOW, Limits())
    await stores.functions.create(function)
    await stores.registry.put_function(function.to_config())
    lease = await stores.registry.lease("wrk-1")
    await lease.put_worker(Worker("wrk-1", "host", "127.0.0.1", 2, 1 << 30, "0", datetime.now(UTC), 0, 0))
    ready = InstanceStatus.READY
    await lease.put_instance(Instance("ins-1", "fn-1", "wrk-1", "127.0.0.1", port, "", ready, NOW, 1))


async def until_up(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        while True:
            with suppress(httpx.TransportError):
                if (await client.get("/readyz")).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(0.05)


async def test_a_rolling_restart_loses_no_call(tmp_path):
    """GET and POST, fast and slow, on connections that clients keep."""
    ended: Counter[str] = Counter()

    async def call(client: httpx.AsyncClient, number: int) -> None:
        path = "/functions/hello/slow" if number % 5 == 0 else "/functions/hello/"
        body = b"x" * number
        try:
            answered = await client.request("POST" if number % 2 else "GET", path, content=body)
            ended[str(answered.status_code) if answered.content == body else "wrong"] += 1
        except httpx.HTTPError as error:
            ended[repr(error)] += 1

    async def load(client: httpx.AsyncClient, done: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            number = 0
            while not done.is_set():
                number += 1
                group.create_task(call(client, number))
                await asyncio.sleep(0.01)

    async with (
        two_gateways(tmp_path) as (one, other, front),
        httpx.AsyncClient(base_url=front, timeout=20, trust_env=False) as client,
    ):
        await until_up(client)
        done = asyncio.Event()
        running = asyncio.ensure_future(load(client, done))
        for gateway in (one, other):
            await gateway.stop()
            await gateway.start()
            await asyncio.sleep(0.5)  # haproxy sees it come back
        done.set()
        await running
    assert set(ended) == {"200"}
    assert ended["200"] > 100
