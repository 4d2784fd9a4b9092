"""A function in its microVM: what it has, and what it can't get at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from aether.domain.deadline import Deadline
from aether.ports.vmm import BootFailed, EndReason, LogLine, Machine, MachineSpec, ignore_log
from aether.vmm.qemu import QemuVmm

pytestmark = pytest.mark.vm

INSIDE = (Path(__file__).parent / "functions" / "inside.js").read_text()
MakeFunction = Callable[..., MachineSpec]


def within(seconds: float) -> Deadline:
    return Deadline.after(seconds, time.monotonic())


async def get(machine: Machine, path: str = "/", **headers: str) -> httpx.Response:
    host, port = machine.address
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return await client.get(f"http://{host}:{port}{path}", headers=headers)


async def test_a_function_is_an_ordinary_user_that_cannot_leave(vmm: QemuVmm, function: MakeFunction):
    lines: list[LogLine] = []
    machine = await vmm.boot(function(INSIDE), within(60), lines.append)
    told = (await get(machine)).json()
    status, mounts = told["status"], told["mounts"]
    assert status["Uid"].split() == status["Gid"].split() == ["1000"] * 4
    assert status["Groups"].strip() == ""
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert {"ro", "nosuid", "nodev"} <= set(mounts["/code"])
    assert {"nosuid", "nodev", "noexec", "ro"} <= set(mounts["/sys"])
    assert {"nosuid", "nodev", "noexec"} <= set(mounts["/proc"])
    assert "nodev" in mounts["/"]
    assert told["writes"] == {
        "/tmp/x": "undefined",
        "/dev/shm/x": "undefined",
        "/dev/stdout": "undefined",
        "/x": "EACCES",
        "/code/x": "EROFS",
        "/usr/bin/node": "EACCES",
        "/proc/sysrq-trigger": "EACCES",
        "/dev/vda": "EACCES",
        "/dev/vdb": "EACCES",
        "/dev/mem": "EACCES",
        "control": ["EACCES"],
    }
    assert told["killAgent"] == "EPERM"
    assert (told["oom"], told["agentOom"]) == ("500", "-1000")
    assert told["cwd"] == "/code"
    assert told["hostname"] == "inst-1"
    assert told["aetherEnv"] == "hi\n"
    assert "direct" in [line.text for line in lines if line.stream == "stdout"]


async def test_a_function_that_eats_all_memory_is_told_from_one_that_fails(
    vmm: QemuVmm, function: MakeFunction
):
    source = """
    require('http').createServer(() => { const kept = []; for (;;) kept.push(Buffer.alloc(1 << 20, 1)); })
      .listen(process.env.PORT);
    """
    machine = await vmm.boot(function(source), within(60), ignore_log)
    with pytest.raises(httpx.HTTPError):
        await get(machine)
    end = await machine.ended()
    assert end.reason is EndReason.OUT_OF_MEMORY


async def test_lines_come_with_the_id_of_their_call(vmm: QemuVmm, function: MakeFunction):
    lines: list[LogLine] = []
    source = "console.log('loaded'); module.exports = () => { console.error('in the call'); };"
    machine = await vmm.boot(function(source), within(60), lines.append)
    assert (await get(machine, **{"X-Call-Id": "call-1"})).status_code == 204
    # The function prints before it answers, and its lines leave in order: a stop brings the last of them.
    await vmm.stop(machine, grace_s=5)
    printed = [(line.stream, line.text, line.call_id) for line in lines if line.stream != "agent"]
    assert printed == [("stdout", "loaded", None), ("stderr", "in the call", "call-1")]


async def test_a_port_below_1024_needs_no_root(vmm: QemuVmm, function: MakeFunction):
    machine = await vmm.boot(function("module.exports = () => 'low';", port=443), within(60), ignore_log)
    assert (await get(machine)).text == "low"


async def test_a_function_that_nobody_can_reach_says_so_in_its_log(vmm: QemuVmm, function: MakeFunction):
    told = asyncio.Event()

    def on_log(line: LogLine) -> None:
        if line.stream == "agent" and "let it listen on 0.0.0.0:3000" in line.text:
            told.set()

    source = "require('http').createServer(() => {}).listen(process.env.PORT, '127.0.0.1');"
    boot = asyncio.ensure_future(vmm.boot(function(source), within(60), on_log))
    await asyncio.wait_for(told.wait(), 60)
    boot.cancel()
    await asyncio.gather(boot, return_exceptions=True)


async def test_a_code_drive_that_is_no_file_system_is_a_clear_failure(
    vmm: QemuVmm, function: MakeFunction, tmp_path: Path
):
    (tmp_path / "broken.ext4").write_bytes(bytes(1 << 20))
    with pytest.raises(BootFailed) as failed:
        await vmm.boot(function("", code=tmp_path / "broken.ext4"), within(60), ignore_log)
    assert "cannot mount the code from /dev/vdb" in f"{failed.value} {failed.value.console_tail}"
