"""Records, slots, sockets and processes of the QEMU driver, with real processes but no VM."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aether.domain.errors import NoCapacity
from aether.ports.vmm import MachineSpec, Runtime
from aether.vmm.qemu import sockets
from aether.vmm.qemu.process import Process, start_ticks
from aether.vmm.qemu.records import RECORD, Record, RunDirectory, read_record, write_record
from aether.vmm.qemu.slots import Slots, port_is_free

RUNTIME = Runtime("node", Path("/root.ext4"), ("/usr/bin/node",), "handler.js")
SPEC = MachineSpec("inst-1", "fn-1", RUNTIME, Path("/code"), "handler.js", 3000, 1, 128, {"A": "b"})


def record_of(process: subprocess.Popen[bytes], *, ready: bool = True, prepared: bool = False) -> Record:
    ticks = start_ticks(process.pid)
    assert ticks is not None
    return Record(SPEC, process.pid, ticks, 20000, 64000, prepared, ready, {"boot": 1.5})


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_record_comes_back_and_is_private(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    record = record_of(sleeper)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert (tmp_path / RECORD).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"version": 1}', b'{"version": 9, "spec": {}}'])
def test_a_record_that_cannot_be_read_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RECORD).write_bytes(content)
    assert read_record(tmp_path) is None


def test_only_ready_machines_whose_very_process_runs_can_be_adopted(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    run = RunDirectory(tmp_path)
    reused = Record(SPEC, sleeper.pid, 1, 20000, None, prepared=False, ready=True)
    records = {
        "inst-good": record_of(sleeper),
        "inst-starting": record_of(sleeper, ready=False),
        "inst-prepared": record_of(sleeper, prepared=True),
        "inst-reused-pid": reused,
    }
    for name, record in records.items():
        write_record(run.make(name), record)
    run.make("inst-no-record")
    assert list(run.adoptable()) == ["inst-good"]
    # What goes is removed; a process that merely has the id of a dead one is let live.
    assert run.sweep(keep={"inst-good", "inst-starting", "inst-prepared"}) == [
        "inst-no-record",
        "inst-reused-pid",
    ]
    assert sleeper.poll() is None
    assert run.sweep(keep=set()) == ["inst-good", "inst-prepared", "inst-starting"]
    assert sleeper.wait(10) == -9
    assert run.adoptable() == {}


def test_slots_rest_before_reuse_and_run_out() -> None:
    slots = Slots(5, 7, "ports", usable=lambda number: number != 6)
    assert [slots.take(), slots.take()] == [5, 7]
    with pytest.raises(NoCapacity, match="ports"):
        slots.take()
    slots.give_back(5)
    assert slots.take() == 5
    slots.give_back(7)
    slots.hold(7)
    with pytest.raises(NoCapacity):
        slots.take()


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not port_is_free(port)
    assert port_is_free(port)


def test_sockets_work_below_a_path_longer_than_their_addresses(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    with sockets.listen(deep, "control") as server, sockets.connect(deep, "control") as client:
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"hello")
            assert accepted.recv(10) == b"hello"
    with pytest.raises(ConnectionRefusedError):
        sockets.connect(deep, "control")


@pytest.mark.parametrize(
    ("script", "code"), [("echo out; echo err >&2; exit 3", 3), ("echo out; echo err; kill -9 $$", -9)]
)
async def test_a_process_tells_its_end_and_its_last_words(script: str, code: int) -> None:
    ended = asyncio.Event()
    process = Process.spawn(["sh", "-c", script], [], ended.set)
    await ended.wait()
    await process.exited()
    process.kill()
    assert process.returncode == code
    assert process.errors.text() == "out\nerr\n"


async def test_a_process_floods_only_its_own_bounded_ring() -> None:
    ended = asyncio.Event()
    process = Process.spawn(["sh", "-c", "yes | head -c 1000000"], [], ended.set)
    await ended.wait()
    assert len(process.errors.text()) <= 8 * 1024
    assert process.errors.dropped_bytes + len(process.errors.text()) == 1_000_000


async def test_an_adopted_process_is_watched_too(sleeper: subprocess.Popen[bytes]) -> None:
    ticks = start_ticks(sleeper.pid)
    assert ticks is not None
    with pytest.raises(ProcessLookupError):
        Process.adopt(sleeper.pid, ticks + 1, lambda: None)
    ended = asyncio.Event()
    process = Process.adopt(sleeper.pid, ticks, ended.set)
    process.kill()
    await ended.wait()
    assert start_ticks(sleeper.pid) is None


async def test_a_process_inherits_only_what_it_is_given() -> None:
    reader, writer = os.pipe()
    ended = asyncio.Event()
    program = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd')))"
    process = Process.spawn([sys.executable, "-c", program], [writer], ended.set)
    await ended.wait()
    os.close(reader)
    os.close(writer)
    # The listing's own descriptor is the lowest free one.
    assert process.errors.text().strip() == str(
        sorted({0, 1, 2, 3, writer} | ({4} if writer == 3 else set()))
    )


async def test_machines_start_from_the_main_thread_only() -> None:
    caught: list[BaseException] = []

    async def spawn() -> None:
        Process.spawn(["true"], [], lambda: None)

    def in_thread() -> None:
        try:
            asyncio.run(spawn())
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=in_thread)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert "main thread" in str(caught[0])
