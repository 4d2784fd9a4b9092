"""A root made to the seed's recipe: its own `/init` as root, which runs `aether-env node handler.js`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.compilers import compile_static

from aether.domain.deadline import Deadline
from aether.ports.vmm import LogLine, MachineSpec, Runtime
from aether.vmm.qemu import QemuVmm

pytestmark = pytest.mark.vm

SBIN = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}

INIT = Path(__file__).parent / "functions" / "seed_init.c"
PROGRAM = """
console.log('up');
require('http').createServer((q, r) => r.end(JSON.stringify({
  greeting: process.env.GREETING, uid: process.getuid(), cwd: process.cwd(),
}))).listen(process.env.PORT);
"""


@pytest.fixture
def seed_runtime(guest_images, tmp_path) -> Runtime:
    """Our node root, with an `/init` of its own in it."""
    ours = guest_images.runtimes["node"]
    root, init = tmp_path / "seed.ext4", tmp_path / "init"
    compile_static(init, INIT)
    shutil.copy(ours.root, root)
    with root.open("r+b") as image:
        image.truncate(root.stat().st_size + (8 << 20))
    commands = f"write {init} init\nset_inode_field init mode 0100755\n"
    subprocess.run(["e2fsck", "-fy", str(root)], check=False, env=SBIN, capture_output=True)
    subprocess.run(["resize2fs", str(root)], check=True, env=SBIN, capture_output=True)
    subprocess.run(
        ["debugfs", "-w", "-f", "-", str(root)],
        input=commands.encode(),
        check=True,
        env=SBIN,
        capture_output=True,
    )
    return replace(ours, root=root, command=("/init",), user=0, group=0)


async def test_it_boots_unchanged(vmm: QemuVmm, seed_runtime: Runtime, function: Callable[..., MachineSpec]):
    lines: list[LogLine] = []
    deadline = Deadline.after(60, time.monotonic())
    machine = await vmm.boot(function(PROGRAM, runtime=seed_runtime), deadline, lines.append)
    host, port = machine.address
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.get(f"http://{host}:{port}/")
    assert answer.json() == {"greeting": "hi", "uid": 0, "cwd": "/code"}
    assert "up" in [line.text for line in lines]
