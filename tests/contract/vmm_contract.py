"""What every Vmm does; its port's docstrings as tests.

A subclass gives the fixtures `vmm` (the driver under test), `again` (makes a later driver of the
same host, to adopt), `spec` (a function that answers every request with JSON: `instance_id`,
`method`, `path`, `body`, and prints `METHOD PATH` on stdout), `failing_spec` (one whose process
ends with exit code 1 before it listens) and `silent_spec` (one that never listens); `patience_s`
bounds a start that should succeed, `silence_s` one that should not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from aether.domain.deadline import Deadline
from aether.domain.ids import new_id
from aether.ports.vmm import (
    BootFailed,
    EndReason,
    LogLine,
    Machine,
    MachineSpec,
    MachineState,
    SnapshotInvalid,
    Vmm,
    ignore_log,
)


def within(seconds: float) -> Deadline:
    return Deadline.after(seconds, time.monotonic())


async def call(machine: Machine, path: str = "/", body: str = "", timeout_s: float = 20) -> dict[str, object]:
    """POST to the function. Raises httpx.HTTPError when nothing answers."""
    host, port = machine.address
    async with httpx.AsyncClient(trust_env=False, timeout=timeout_s) as client:
        response = await client.post(f"http://{host}:{port}{path}", content=body)
    assert response.status_code == 200
    answer: dict[str, object] = response.json()
    return answer


class VmmContract:
    patience_s = 30.0
    silence_s = 0.2

    async def test_a_booted_machine_answers_and_stops(self, vmm: Vmm, spec: MachineSpec) -> None:
        machine = await vmm.boot(spec, within(self.patience_s), ignore_log)
        assert machine.spec == spec
        assert machine.state is MachineState.RUNNING
        assert list(machine.phases) == ["boot", "ready"]
        answer = await call(machine, "/a/b?c=d", "text")
        assert answer["instance_id"] == spec.instance_id
        assert (answer["method"], answer["path"], answer["body"]) == ("POST", "/a/b?c=d", "text")
        assert await vmm.list() == [spec.instance_id]

        await vmm.stop(machine, grace_s=2)
        await vmm.stop(machine)
        assert (await machine.ended()).reason is EndReason.STOPPED
        assert machine.state is MachineState.ENDED
        assert await vmm.list() == []
        with pytest.raises(httpx.HTTPError):
            await call(machine)

    async def test_output_goes_to_the_log_in_order_and_stays_on_the_console(
        self, vmm: Vmm, spec: MachineSpec
    ) -> None:
        lines: list[LogLine] = []
        printed = asyncio.Event()

        def on_log(line: LogLine) -> None:
            lines.append(line)
            if line.text.endswith("/2"):
                printed.set()

        machine = await vmm.boot(spec, within(self.patience_s), on_log)
        await call(machine, "/1")
        await call(machine, "/2")
        await asyncio.wait_for(printed.wait(), 10)
        assert [line.text for line in lines if line.stream == "stdout"] == ["POST /1", "POST /2"]
        assert "POST /2" in vmm.console(spec.instance_id)
        await vmm.stop(machine)
        assert "POST /2" in vmm.console(spec.instance_id)
        assert vmm.console("inst-unknown") == ""

    async def test_a_function_that_ends_before_it_listens_is_told(
        self, vmm: Vmm, failing_spec: MachineSpec
    ) -> None:
        with pytest.raises(BootFailed, match="exit code 1") as caught:
            await vmm.boot(failing_spec, within(self.patience_s), ignore_log)
        assert "failure at start" in caught.value.console_tail
        assert await vmm.list() == []

    async def test_a_function_that_never_listens_is_told(self, vmm: Vmm, silent_spec: MachineSpec) -> None:
        with pytest.raises(BootFailed, match=f"nothing listened on port {silent_spec.port}"):
            await vmm.boot(silent_spec, within(self.silence_s), ignore_log)
        assert await vmm.list() == []

    async def test_a_cancelled_start_leaves_nothing(self, vmm: Vmm, silent_spec: MachineSpec) -> None:
        async with asyncio.TaskGroup() as group:
            start = group.create_task(vmm.boot(silent_spec, within(self.patience_s), ignore_log))
            while not await vmm.list():
                await asyncio.sleep(0)
            start.cancel()
        assert start.cancelled()
        assert await vmm.list() == []

    async def test_a_paused_machine_keeps_requests_waiting(self, vmm: Vmm, spec: MachineSpec) -> None:
        machine = await vmm.boot(spec, within(self.patience_s), ignore_log)
        await vmm.pause(machine)
        await vmm.pause(machine)
        assert machine.state is MachineState.PAUSED
        with pytest.raises(httpx.ReadTimeout):
            await call(machine, timeout_s=0.3)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(call(machine, "/later"))
            await vmm.resume(machine)
            await vmm.resume(machine)
        assert machine.state is MachineState.RUNNING
        assert waiting.result()["path"] == "/later"
        await vmm.pause(machine)
        await vmm.stop(machine, grace_s=1)
        assert (await machine.ended()).reason is EndReason.STOPPED

    async def test_a_guest_gives_signs_of_life_unless_it_is_paused(self, vmm: Vmm, spec: MachineSpec) -> None:
        machine = await vmm.boot(spec, within(self.patience_s), ignore_log)
        assert await asyncio.wait_for(vmm.ping(machine), self.patience_s)
        assert vmm.starved_s(machine) >= 0
        await vmm.pause(machine)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(vmm.ping(machine), 0.2)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(vmm.ping(machine))
            await vmm.resume(machine)
        assert waiting.result()
        await vmm.stop(machine)
        assert not await vmm.ping(machine)
        assert vmm.starved_s(machine) >= 0

    async def test_clones_of_a_snapshot_answer_side_by_side(
        self, vmm: Vmm, spec: MachineSpec, tmp_path: Path
    ) -> None:
        prepared = await vmm.prepare(spec, within(self.patience_s), ignore_log)
        snapshot = await vmm.snapshot(prepared, tmp_path / "snapshots" / "one")
        assert (await prepared.ended()).reason is EndReason.STOPPED
        assert await vmm.list() == []
        assert await vmm.load(snapshot.directory) == snapshot
        content = {path.name: path.stat().st_mtime_ns for path in snapshot.directory.iterdir()}

        ids = [new_id("inst") for _ in range(2)]
        clones = [await vmm.restore(snapshot, id_, within(self.patience_s), ignore_log) for id_ in ids]
        assert await vmm.list() == sorted(ids)
        for clone, id_ in zip(clones, ids, strict=True):
            assert clone.spec == replace(spec, instance_id=id_)
            assert list(clone.phases) == ["restore", "ready"]
            assert (await call(clone, f"/{id_}"))["path"] == f"/{id_}"
            await vmm.stop(clone)
        assert {path.name: path.stat().st_mtime_ns for path in snapshot.directory.iterdir()} == content
        assert [path.name for path in snapshot.directory.parent.iterdir()] == ["one"]

    async def test_a_running_machine_is_neither_started_again_nor_snapshotted(
        self, vmm: Vmm, spec: MachineSpec, tmp_path: Path
    ) -> None:
        machine = await vmm.boot(spec, within(self.patience_s), ignore_log)
        with pytest.raises(ValueError, match="runs already"):
            await vmm.boot(spec, within(self.patience_s), ignore_log)
        with pytest.raises(ValueError, match="not made by prepare"):
            await vmm.snapshot(machine, tmp_path / "snapshot")
        assert await call(machine)
        await vmm.stop(machine)

    async def test_a_snapshot_that_is_missing_is_refused(self, vmm: Vmm, tmp_path: Path) -> None:
        with pytest.raises(SnapshotInvalid):
            await vmm.load(tmp_path / "absent")

    async def test_a_later_process_adopts_what_runs(
        self, again: Callable[[], Vmm], spec: MachineSpec
    ) -> None:
        first = again()
        await first.boot(spec, within(self.patience_s), ignore_log)
        await first.close()

        second = again()
        printed = asyncio.Event()
        assert await second.list() == [spec.instance_id]
        machine = await second.adopt(spec.instance_id, lambda _line: printed.set())
        assert machine.spec == spec
        assert (await call(machine))["instance_id"] == spec.instance_id
        await asyncio.wait_for(printed.wait(), 10)
        with pytest.raises(KeyError):
            await second.adopt("inst-unknown", ignore_log)
        await second.stop(machine, grace_s=1)
        assert (await machine.ended()).reason is EndReason.STOPPED
        assert await second.list() == []
        await second.close()

    async def test_closing_ends_what_runs(self, vmm: Vmm, spec: MachineSpec) -> None:
        machine = await vmm.boot(spec, within(self.patience_s), ignore_log)
        await vmm.close()
        assert (await machine.ended()).reason is EndReason.STOPPED
