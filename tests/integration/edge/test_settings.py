"""The edge's settings, from the environment to what a client is answered."""

import asyncio
import contextlib
import ssl

import httpx
import pytest
from tests.integration.edge.conftest import make_certificate

from aether.cli.data_dir import api_key, socket_directory
from aether.cli.edge_settings import certificate
from aether.cli.embedded import Embedded, open_stores
from aether.cli.settings import InvalidSettings, load_settings
from aether.vmm.simulated.driver import SimulatedVmm


@pytest.fixture
async def platform(tmp_path, monkeypatch):
    """A whole platform over HTTPS with narrow limits, and a client that has its key."""
    chain, key = make_certificate(tmp_path)
    for name, value in {
        "TLS_CERT": chain,
        "TLS_KEY": key,
        "MAX_BODY_MB": 1,
        "MAX_HEADERS": 10,
        "MAX_URL_KB": 1,
        "HEAD_TIMEOUT_S": 1,
        "MAX_CONNECTIONS_PER_CLIENT": 3,
    }.items():
        monkeypatch.setenv(f"AETHER_{name}", str(value))
    settings = load_settings(data_dir=tmp_path / "data", port=0)
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(socket_directory(settings.sockets))
        stores = await stack.enter_async_context(open_stores(settings))
        embedded = Embedded(settings, stores, SimulatedVmm(), {})
        run = asyncio.ensure_future(embedded.run(stop, address.set_result))
        await asyncio.wait({run, address}, return_when=asyncio.FIRST_COMPLETED)
        if run.done():
            run.result()
        client = httpx.AsyncClient(
            base_url=f"https://localhost:{address.result()[1]}",
            headers={"Authorization": f"Bearer {api_key(settings.data_dir)}"},
            verify=ssl.create_default_context(cafile=str(chain)),
            trust_env=False,
        )
        async with client:
            yield client
        stop.set()
        await run


async def test_limits_are_as_set(platform):
    assert (await platform.get("/healthz")).status_code == 200
    many = await platform.get("/healthz", headers={f"X-{number}": "1" for number in range(10)})
    assert (many.status_code, many.json()["error"]["code"]) == (431, "headers_too_large")
    long = await platform.get("/functions/hello/" + "a" * 1100)
    assert (long.status_code, long.json()["error"]["code"]) == (414, "uri_too_long")
    archive = await platform.post("/api/functions/nobody/code", content=b"x" * 1_000_001)
    assert archive.status_code == 404, "the limit is that of calls, not of archives"


async def test_a_silent_client_keeps_no_place(platform):
    """Three at once are the most; those that say nothing are ended, and others get their turn."""
    url = platform.base_url
    silent = [await asyncio.open_connection("127.0.0.1", url.port) for _ in range(5)]
    for reader, writer in silent:
        async with asyncio.timeout(5):
            assert await reader.read() == b""  # no TLS, so no words either
        writer.close()
    assert (await platform.get("/healthz")).status_code == 200


def test_one_file_without_the_other_is_said(monkeypatch, tmp_path):
    with pytest.raises(InvalidSettings, match="AETHER_TLS_KEY is missing"):
        certificate(load_settings(tls_cert=tmp_path / "chain.pem"))
    with pytest.raises(InvalidSettings, match="AETHER_TRUSTED_PROXIES"):
        load_settings(trusted_proxies="10.0.0.0/8, nonsense")
