"""The agent and the bootstrap where they belong: in real microVMs, started by the QEMU driver."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.integration.platform.conftest import Platform

from aether.cli.data_dir import api_key, socket_directory
from aether.cli.embedded import Embedded, open_stores
from aether.cli.settings import load_settings
from aether.images.catalog import Images, load_images
from aether.images.errors import MissingImages
from aether.images.store import default_cache_dir
from aether.images.tsc import tsc_khz
from aether.ports.vmm import MachineSpec
from aether.vmm.qemu import QemuConfig, QemuVmm

SBIN = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


@pytest.fixture(scope="session")
def guest_images() -> Images:
    try:
        return load_images(Path(os.environ.get("AETHER_CACHE_DIR", default_cache_dir())))
    except MissingImages as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no guest images: {error.message}; {error.hint}")


@pytest.fixture
def function(guest_images: Images, tmp_path: Path) -> Callable[..., MachineSpec]:
    """What to boot for a handler's source."""

    def make(source: str, **changes) -> MachineSpec:
        folder, image = tmp_path / "code", tmp_path / "code.ext4"
        folder.mkdir()
        (folder / changes.get("entrypoint", "handler.js")).write_text(source)
        command = [
            "mkfs.ext4",
            "-q",
            "-F",
            "-d",
            str(folder),
            "-O",
            "^has_journal",
            "-m",
            "0",
            str(image),
            "2M",
        ]
        subprocess.run(command, check=True, env=SBIN)
        runtime = guest_images.runtimes["node"]
        spec = MachineSpec("inst-1", "fn-1", runtime, image, "handler.js", 3000, 1, 128, {"GREETING": "hi"})
        return replace(spec, **changes)

    return make


@pytest.fixture
async def vmm(guest_images: Images, tmp_path: Path) -> AsyncIterator[QemuVmm]:
    driver = QemuVmm(
        QemuConfig(
            kernel=guest_images.kernel, run_dir=tmp_path / "run", tsc_khz=tsc_khz(), boot_watchdog_s=30
        )
    )
    await driver.sweep()
    yield driver
    await driver.close()


@pytest.fixture
async def platform(vmm: QemuVmm, guest_images: Images, tmp_path: Path) -> AsyncIterator[Platform]:
    """All of the platform, over real machines."""
    settings = load_settings(data_dir=tmp_path / "data", port=0)
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as stack:
        stack.enter_context(socket_directory(settings.sockets))
        stores = await stack.enter_async_context(open_stores(settings))
        embedded = Embedded(settings, stores, vmm, guest_images.runtimes)
        run = asyncio.ensure_future(embedded.run(stop, address.set_result))
        host, port = await address
        headers = {"Authorization": f"Bearer {api_key(settings.data_dir)}"}
        async with httpx.AsyncClient(
            base_url=f"http://{host}:{port}", headers=headers, timeout=90, trust_env=False
        ) as client:
            yield Platform(client, embedded, stores, stop, run.done, settings.data_dir)
            stop.set()
        await run
