"""What an instance's proxy says when the machine behind it is gone."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from tests.unit.worker.conftest import NODE

from aether.adapters.clock import SystemClock
from aether.domain.deadline import Deadline
from aether.domain.function import Limits
from aether.ports.vmm import Machine, MachineSpec
from aether.vmm.simulated.behaviour import Behaviour, Fault
from aether.vmm.simulated.driver import SimulatedVmm
from aether.worker.instance_proxy import InstanceProxy


async def booted(vmm: SimulatedVmm, tmp_path: Path) -> Machine:
    spec = MachineSpec("inst-1", "fn-1", NODE, tmp_path, "handler.js", 3000, 1, 128)
    return await vmm.boot(spec, Deadline.after(5, time.monotonic()), lambda _line: None)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_that_never_reached_the_machine_may_go_elsewhere(tmp_path, method):
    vmm = SimulatedVmm()
    machine = await booted(vmm, tmp_path)
    refused: list[str] = []
    proxy = InstanceProxy(vmm, machine, Limits, SystemClock(), on_refused=refused.append)
    async with proxy.listening("127.0.0.1", 30_000) as port, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}/"
        assert (await client.request(method, url, content=b"x")).status_code == 200
        await vmm.stop(machine)
        answer = await client.request(method, url, content=b"x")
    assert (answer.status_code, answer.headers["x-aether-refused"]) == (503, "draining")
    assert refused == ["draining"]
    assert proxy.signs.in_flight == 0


async def test_a_request_that_ended_the_machine_is_not_sent_to_another(tmp_path):
    vmm = SimulatedVmm(Behaviour(fault=Fault.CRASH, fault_after_requests=1))
    proxy = InstanceProxy(vmm, await booted(vmm, tmp_path), Limits, SystemClock())
    async with proxy.listening("127.0.0.1", 30_000) as port, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}/"
        assert (await client.get(url)).status_code == 200
        answer = await client.get(url)  # on the kept connection, and then, as it broke, on none
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "instance_failed")


async def test_a_machine_that_ended_before_it_answered_anything_is_told_of(tmp_path):
    vmm = SimulatedVmm()
    machine = await booted(vmm, tmp_path)
    proxy = InstanceProxy(vmm, machine, Limits, SystemClock())
    async with proxy.listening("127.0.0.1", 30_000) as port, httpx.AsyncClient() as client:
        await vmm.stop(machine)
        answer = await client.get(f"http://127.0.0.1:{port}/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "instance_failed")
