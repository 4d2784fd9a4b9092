"""A real worker's process over real stores and a real microVM, which outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.integration.vmm.conftest import code_image, guest_images
from tests.integration.worker.conftest import Cluster

from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import DrainWish
from aether.images.catalog import Images
from aether.ports.registry import instance_key
from aether.vmm.qemu.process import start_ticks

__all__ = ["code_image", "guest_images"]


class Worker:
    """`aether worker` on a data directory."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        self._environment = {
            **os.environ,
            "ETCD_ENDPOINTS": cluster.etcd.address,
            "REDIS_ADDR": cluster.redis.address,
            "AETHER_CODE_DIR": str(cluster.directory / "store"),
            "AETHER_DATA_DIR": str(directory / "data"),
            "AETHER_SOCKET_DIR": str(directory / "run"),
            "AETHER_WORKER_ID": "wrk-1",
            "AETHER_WORKER_PORT": "0",
            # Its own, so that nobody takes a port while the worker is away.
            "WORKER_IP": f"127.{os.getpid() >> 8 & 127 or 1}.{os.getpid() & 255}.7",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._said = 0

    async def start(self) -> None:
        """Returns when it is up."""
        self._said = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "aether.cli", "worker"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(60):
            while b" is up at " not in self.log.read_bytes()[self._said :]:
                assert self._process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)

    async def end(self, number: signal.Signals | None = None) -> int:
        """Its exit code, when it has ended; by that signal, or by itself."""
        assert self._process is not None
        if number is not None:
            self._process.send_signal(number)
        async with asyncio.timeout(60):
            while self._process.poll() is None:
                await asyncio.sleep(0.02)
        return self._process.returncode

    def machines(self) -> dict[str, int]:
        """Process ids of those that run."""
        records = [json.loads(path.read_text()) for path in self.directory.glob("run/**/record.json")]
        return {
            it["spec"]["instance_id"]: it["pid"] for it in records if start_ticks(it["pid"]) == it["ticks"]
        }

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pid in self.machines().values():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def worker(cluster: Cluster, guest_images: Images, tmp_path: Path) -> Iterator[Worker]:
    assert guest_images.runtimes["node"]
    directory = tmp_path / "worker"
    directory.mkdir()
    it = Worker(cluster, directory)
    yield it
    it.kill()


async def answer(instance: Instance, path: str) -> dict[str, object]:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        response = await client.post(f"http://{instance.host_ip}:{instance.proxy_port}{path}")
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_a_microvm_outlives_crash_and_restart_of_its_worker_and_goes_when_that_drains(
    cluster: Cluster, worker: Worker, code_image: Path
):
    await cluster.put_code(code_image)
    await worker.start()
    before = await cluster.start("req-1", within_s=60)
    assert (await answer(before, "/1"))["path"] == "/1"
    [(instance_id, pid)] = worker.machines().items()
    assert instance_id == before.instance_id

    assert await worker.end(signal.SIGKILL) == -signal.SIGKILL
    assert worker.machines() == {instance_id: pid}
    await worker.start()
    [after] = await cluster.instances()
    assert after == before, "gateways see nothing of it"
    assert (await answer(after, "/2"))["path"] == "/2"

    assert await worker.end(signal.SIGTERM) == 0
    assert worker.machines() == {instance_id: pid}
    [left] = await cluster.instances()
    assert (left.status, left.restarting) == (InstanceStatus.DRAINING, True)
    await worker.start()
    assert await cluster.instances() == [before]
    assert (await answer(before, "/3"))["path"] == "/3"

    await cluster.registry.ask_to_drain(DrainWish("wrk-1", datetime.now(UTC)))
    assert await worker.end() == 0
    assert instance_key("fn-1", instance_id) not in await cluster.entries()
    assert start_ticks(pid) is None, "it runs still"
    assert list(worker.directory.glob("run/**/*")) == []
