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

from aether.ports.vmm import EndReason, MachineSpec, Runtime, SnapshotInvalid, ignore_log
from aether.vmm.simulated import Behaviour, SimulatedHost, SimulatedVmm


def behaviour_of(spec: MachineSpec) -> Behaviour:
    return {
        "failing.js": Behaviour(exits_before_ready=True),
        "silent.js": Behaviour(never_ready=True),
        "crashing.js": Behaviour(crash_after_requests=1),
    }.get(spec.entrypoint, Behaviour())


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
