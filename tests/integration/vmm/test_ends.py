"""Every way a machine can end is noticed, told, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.contract.vmm_contract import call, within
from tests.integration.vmm.test_restore import evaluate

from aether.ports.vmm import BootFailed, EndReason, MachineSpec, ignore_log
from aether.vmm.cgroups import NoPlace, Place
from aether.vmm.qemu import QemuConfig, QemuVmm, boot, host
from aether.vmm.qemu.driver import NOT_LOOKED_FOR
from aether.vmm.qemu.machine import QemuMachine
from aether.vmm.qemu.monitor import monitor_session

pytestmark = pytest.mark.vm


async def test_a_function_that_exits_ends_its_machine(vmm: QemuVmm, spec: MachineSpec) -> None:
    machine = await vmm.boot(spec, within(60), ignore_log)
    with pytest.raises(httpx.HTTPError):
        await call(machine, "/eval", "process.exit(7)")
    end = await machine.ended()
    assert (end.reason, end.detail.split(":")[0]) == (EndReason.EXITED, "exit code 7")
    assert await vmm.list() == []


async def test_a_function_out_of_memory_is_told_apart(vmm: QemuVmm, spec: MachineSpec) -> None:
    machine = await vmm.boot(spec, within(60), ignore_log)
    with pytest.raises(httpx.HTTPError):
        await call(
            machine, "/eval", "const all = []; for (;;) all.push(Buffer.alloc(4 << 20, 1))", timeout_s=60
        )
    assert (await machine.ended()).reason is EndReason.OUT_OF_MEMORY


@pytest.mark.slow
async def test_a_start_with_too_little_memory_says_so(vmm: QemuVmm, spec: MachineSpec) -> None:
    told = r"ran out of memory before it was ready \(.+\); memory_mb 64 may be too little"
    with pytest.raises(BootFailed, match=told):
        await vmm.boot(replace(spec, memory_mib=64), within(60), ignore_log)


@pytest.mark.slow
async def test_a_runtime_that_never_gets_ready_for_want_of_memory_says_so(
    vmm: QemuVmm, spec: MachineSpec
) -> None:
    thrashed = "(nothing listened on port 3000|no sign of life) within .+"
    killed = r"it ran out of memory before it was ready \(.+\)"  # sooner than the time ran out
    told = f"({thrashed}|{killed}); memory_mb 80 may be too little"
    with pytest.raises(BootFailed, match=told):
        await vmm.boot(replace(spec, memory_mib=80), within(20), ignore_log)


async def test_a_killed_qemu_is_noticed(vmm: QemuVmm, spec: MachineSpec) -> None:
    machine = await vmm.boot(spec, within(60), ignore_log)
    assert isinstance(machine, QemuMachine)
    os.kill(machine.process.pid, signal.SIGKILL)
    end = await machine.ended()
    assert end.reason is EndReason.KILLED
    assert "signal 9" in end.detail


@pytest.fixture
def everyones() -> Iterator[Path]:
    """A directory that a process without root's rights can use."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


async def test_a_hanging_guest_is_tried_twice(
    config: QemuConfig, spec: MachineSpec, everyones: Path, nothing_left: None
) -> None:
    hanging = executable(everyones / "qemu", f"mktemp {everyones}/try.XXXXXX; exec sleep 600")
    vmm = QemuVmm(replace(config, binary=str(hanging), boot_watchdog_s=0.5))
    with pytest.raises(BootFailed, match=r"no sign of life within 0.5 s, twice"):
        await vmm.boot(spec, within(30), ignore_log)
    assert len(list(everyones.glob("try.*"))) == 2
    await vmm.close()


@pytest.mark.usefixtures("nothing_left")
async def test_a_guest_that_hangs_after_its_hello_is_tried_again(
    silent_spec: MachineSpec, config: QemuConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The virtual CPUs of the first attempt are stopped behind the driver's back."""
    monkeypatch.setattr(boot, "PING_EVERY_S", 0.2)
    vmm = QemuVmm(replace(config, silence_watchdog_s=1.0))
    started = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        booting = group.create_task(vmm.boot(silent_spec, within(100), lambda _line: started.set()))
        await started.wait()
        [first] = vmm._host.machines.values()
        async with monitor_session(first.place.directory) as monitor:
            await monitor.execute("stop")
        await first.ended()
        while not vmm._host.machines:
            await asyncio.sleep(0)
        assert list(vmm._host.machines.values()) != [first]
        booting.cancel()
    await vmm.close()


@pytest.mark.parametrize(
    ("script", "message"),
    [(None, "failed to execute"), ("echo qemu: no such option >&2; exit 3", "code 3: qemu: no such option")],
)
@pytest.mark.usefixtures("nothing_left")
async def test_a_qemu_that_does_not_start_tells_why(
    config: QemuConfig, spec: MachineSpec, everyones: Path, script: str | None, message: str
) -> None:
    binary = everyones / "absent" if script is None else executable(everyones / "qemu", script)
    vmm = QemuVmm(replace(config, binary=str(binary)))
    with pytest.raises(BootFailed, match=message):
        await vmm.boot(spec, within(30), ignore_log)
    with pytest.raises(BootFailed, match="cannot be started"):
        await vmm.boot(replace(spec, code=everyones / "absent"), within(30), ignore_log)
    await vmm.close()


def taken_before_a_free_one() -> socket.socket:
    """Listens on a port that has a free one after it, below those that the kernel gives to connections."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port + 1)).close()
            return socket.create_server(("127.0.0.1", port))
    raise AssertionError("no two free ports in a row")


async def test_a_port_that_is_taken_meanwhile_is_replaced(
    vmm: QemuVmm, config: QemuConfig, spec: MachineSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "port_is_free", lambda _port: True)
    with taken_before_a_free_one() as taken:
        port = taken.getsockname()[1]
        other = QemuVmm(
            replace(config, run_dir=config.run_dir.with_name("other"), first_port=port, last_port=port + 1)
        )
        machine = await other.boot(spec, within(60), ignore_log)
        assert machine.address == ("127.0.0.1", port + 1)
        await other.close()


async def test_what_a_killed_process_left_is_swept(
    config: QemuConfig, spec: MachineSpec, nothing_left: None
) -> None:
    """The process dies by SIGKILL: embedded machines die with it, the others are adopted or swept."""
    for embedded in (True, False):
        pid = boot_elsewhere(replace(config, embedded=embedded), spec)
        after = QemuVmm(replace(config, embedded=False))
        if embedded:
            wait_for_end(pid)
            assert await after.sweep() == [spec.instance_id]
        else:
            assert await after.sweep() == []
            assert await after.list() == [spec.instance_id]
            await after.close()
            after = QemuVmm(config)
            assert await after.list() == []
            assert await after.sweep() == [spec.instance_id]
            wait_for_end(pid)
        await after.close()


async def test_two_processes_cannot_have_one_run_directory(vmm: QemuVmm, config: QemuConfig) -> None:
    with pytest.raises(RuntimeError, match="in use"):
        await QemuVmm(config).sweep()


async def test_the_console_is_bounded(vmm: QemuVmm, spec: MachineSpec) -> None:
    machine = await vmm.boot(spec, within(60), ignore_log)
    await evaluate(machine, 'for (let n = 0; n < 200; n++) console.log("x".repeat(1000)); return 0')
    assert await evaluate(machine, 'console.log("the end"); return 0') == 0
    assert len(vmm.console(spec.instance_id)) <= 64 * 1024


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def boot_elsewhere(config: QemuConfig, spec: MachineSpec, place: Place | NoPlace = NOT_LOOKED_FOR) -> int:
    """Boot a machine from another process, kill that process, and tell the machine's process id."""
    program = textwrap.dedent("""
        import asyncio, os, pickle, signal, sys, time
        from aether.domain.deadline import Deadline
        from aether.ports.vmm import ignore_log
        from aether.vmm.qemu import QemuVmm

        async def main():
            config, spec, place = pickle.load(sys.stdin.buffer)
            vmm = QemuVmm(config, place)
            await vmm.sweep()
            machine = await vmm.boot(spec, Deadline.after(60, time.monotonic()), ignore_log)
            print(machine.process.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """)
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps((config, spec, place)),
        capture_output=True,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()
    return int(ran.stdout)


def wait_for_end(pid: int) -> None:
    """Until the process is gone, or is a zombie that its new parent has yet to reap."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([pidfd], [], [], 10)[0]
    finally:
        os.close(pidfd)
