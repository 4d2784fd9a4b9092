"""The agent and the bootstrap where they belong: in real microVMs, started by the QEMU driver."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.platform.conftest import Platform, running_on

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
    async with running_on(vmm, guest_images.runtimes, tmp_path / "data") as it:
        it.client.timeout = 90
        yield it
