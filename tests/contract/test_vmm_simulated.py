"""The simulated driver meets the contract, and does what its behaviour says."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.contract.vmm_contract import VmmContract, call, within

from aether.ports.vmm import End, EndReason, Machine, MachineSpec, Runtime, SnapshotInvalid, ignore_log
from aether.vmm.simulated import HEALTH_PATH, Behaviour, Fault, SimulatedHost, SimulatedVmm


def behaviour_of(spec: MachineSpec) -> Behaviour:
    return {
        "failing.js": Behaviour(exits_before_ready=True),
        "silent.js": Behaviour(never_ready=True),
        "unwell.js": Behaviour(well_after_s=2),
        "crashing.js": Behaviour(fault=Fault.CRASH, fault_after_requests=1),
    }.get(spec.entrypoint, Behaviour())


async def asked_to(
    machine: Machine, fault: Fault | None, *, path: str = "/", probe: bool = False
) -> httpx.Response:
    host, port = machine.address
    headers = {"x-simulated-fault": fault} if fault else {"x-aether-probe": "1"} if probe else {}
    async with httpx.AsyncClient(trust_env=False, timeout=0.3) as client:
        return await client.get(f"http://{host}:{port}{path}", headers=headers)


@pytest.fixture
def spec(tmp_path: Path) -> MachineSpec:
    code = tmp_path / "code.ext4"
    code.write_bytes(b"code")
    runtime = Runtime("node", tmp_path / "root.ext4", ("/usr/bin/node",), "handler.js", digest="d")
    return MachineSpec("inst-1", "fn-1", runtime, code, "handler.js", 3000, 1, 128, {"A": "b"})


@pytest.fixture
def failing_spec(spec: MachineSpec) -> MachineSpec:
    return replace(spec, entrypoint="failing.js")


@pytest.fixture
def silent_spec(spec: MachineSpec) -> MachineSpec:
    return replace(spec, entrypoint="silent.js")


@pytest.fixture
async def vmm() -> AsyncIterator[SimulatedVmm]:
    driver = SimulatedVmm(behaviour_of)
    yield driver
    await driver.close()
    gc.collect()  # a server or transport left open warns, and warnings are errors
    assert await driver.list() == []


@pytest.fixture
def again() -> Callable[[], SimulatedVmm]:
    host = SimulatedHost()
    return lambda: SimulatedVmm(behaviour_of, host=host, embedded=False)


class TestSimulatedVmm(VmmContract):
    async def test_a_crash_breaks_the_request_and_ends_the_machine(
        self, vmm: SimulatedVmm, spec: MachineSpec
    ) -> None:
        machine = await vmm.boot(replace(spec, entrypoint="crashing.js"), within(1), ignore_log)
        await call(machine)
        with pytest.raises(httpx.HTTPError):
            await call(machine)
        end = await machine.ended()
        assert (end.reason, end.detail) == (EndReason.EXITED, "exit code 1")
        assert await vmm.list() == []

    @pytest.mark.parametrize(
        ("fault", "end"),
        [
            (Fault.OUT_OF_MEMORY, End(EndReason.OUT_OF_MEMORY, "simulated")),
            (Fault.EXIT_MID_ANSWER, End(EndReason.EXITED, "exit code 1")),
            (Fault.GARBAGE, None),
            (Fault.CUT, None),
        ],
    )
    async def test_a_fault_breaks_its_request(
        self, vmm: SimulatedVmm, spec: MachineSpec, fault: Fault, end: End | None
    ) -> None:
        machine = await vmm.boot(spec, within(1), ignore_log)
        with pytest.raises(httpx.HTTPError):
            await asked_to(machine, fault)
        if end is not None:
            assert await machine.ended() == end
        else:
            assert await call(machine)

    async def test_an_orderly_exit_comes_after_the_answer(self, vmm: SimulatedVmm, spec: MachineSpec) -> None:
        machine = await vmm.boot(spec, within(1), ignore_log)
        assert (await asked_to(machine, Fault.EXIT_AFTER_ANSWER)).status_code == 200
        assert await machine.ended() == End(EndReason.EXITED, "exit code 0")

    @pytest.mark.parametrize(("fault", "guest_lives"), [(Fault.HANG, True), (Fault.FREEZE, False)])
    async def test_a_hang_answers_nothing_any_more(
        self, vmm: SimulatedVmm, spec: MachineSpec, fault: Fault, guest_lives: bool
    ) -> None:
        machine = await vmm.boot(spec, within(1), ignore_log)
        assert (await asked_to(machine, None, probe=True)).status_code == 204
        with pytest.raises(httpx.ReadTimeout):
            await asked_to(machine, fault)
        await vmm.pause(machine)
        await vmm.resume(machine)
        with pytest.raises(httpx.ReadTimeout):
            await asked_to(machine, None, probe=True)
        if guest_lives:
            assert await vmm.ping(machine)
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(vmm.ping(machine), 0.1)
        await vmm.stop(machine)
        assert not await vmm.ping(machine)

    async def test_a_health_path_gets_well(self, vmm: SimulatedVmm, spec: MachineSpec) -> None:
        machine = await vmm.boot(replace(spec, entrypoint="unwell.js"), within(1), ignore_log)
        async with asyncio.timeout(10):
            assert (await asked_to(machine, None, path=HEALTH_PATH)).status_code == 503
            while (await asked_to(machine, None, path=HEALTH_PATH)).status_code != 200:
                await asyncio.sleep(0.05)
        await vmm.stop(machine)

    async def test_a_running_request_ends_within_the_grace(
        self, vmm: SimulatedVmm, spec: MachineSpec
    ) -> None:
        machine = await vmm.boot(spec, within(1), ignore_log)
        host, port = machine.address
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.TaskGroup() as group:
            headers = {"x-simulated-respond-ms": "100", "x-call-id": "call-1"}
            request = group.create_task(client.get(f"http://{host}:{port}/", headers=headers))
            while not machine.in_flight:  # type: ignore[attr-defined]
                await asyncio.sleep(0)
            await vmm.stop(machine, grace_s=5)
        assert request.result().status_code == 200

    async def test_a_snapshot_of_changed_code_is_refused(
        self, vmm: SimulatedVmm, spec: MachineSpec, tmp_path: Path
    ) -> None:
        prepared = await vmm.prepare(spec, within(1), ignore_log)
        snapshot = await vmm.snapshot(prepared, tmp_path / "one")
        spec.code.write_bytes(b"other")
        with pytest.raises(SnapshotInvalid, match="something else"):
            await vmm.restore(snapshot, "inst-2", within(1), ignore_log)

    async def test_a_binary_body_comes_back(self, vmm: SimulatedVmm, spec: MachineSpec) -> None:
        machine = await vmm.boot(spec, within(1), ignore_log)
        host, port = machine.address
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"http://{host}:{port}/x"
            answer = (await client.put(url, content=b"\xff" * 2_000_000)).json()
            assert (answer["body_encoding"], answer["body_bytes"]) == ("base64", 2_000_000)
            failed = await client.get(url, headers={"x-simulated-status": "418"})
            assert failed.status_code == 418
        await vmm.stop(machine)
