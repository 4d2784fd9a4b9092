"""Instances that fail: replaced, told of in time, and with the reason to whoever waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from tests.unit.worker.conftest import NODE, Running, replies

from aether.domain.function import Limits
from aether.domain.ids import new_id
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.job import JobReply
from aether.domain.worker import Worker as WorkerRecord
from aether.ports.registry import Change, instance_key, worker_key
from aether.ports.vmm import End, EndReason
from aether.vmm.simulated import HEALTH_PATH, Behaviour, Fault
from aether.worker import crash_loops, health
from aether.worker.ends import in_words

QUICK = Limits(unresponsive_after_s=0.4, timeout_s=5)


class Seen:
    """All that the registry said, from the beginning."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._news = asyncio.Event()

    async def follow(self, running: Running) -> None:
        async for change in running.registry.watch(0):
            self.changes.append(change)
            self._news.set()

    async def until(self, found) -> Change:
        async with asyncio.timeout(10):
            while True:
                for change in self.changes:
                    if found(change):
                        return change
                self._news.clear()
                await self._news.wait()

    def place_of(self, found) -> int:
        return next(i for i, change in enumerate(self.changes) if found(change))


@asynccontextmanager
async def seen(running: Running) -> AsyncIterator[Seen]:
    it = Seen()
    task = asyncio.ensure_future(it.follow(running))
    try:
        yield it
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def start(running: Running, behaviour: Behaviour | None = None, limits: Limits = QUICK) -> Instance:
    """One ready instance of fn-1, as the registry has it."""
    running.behave["it"] = behaviour or Behaviour()
    await running.put(1, limits=limits)
    async with asyncio.timeout(10):
        while not len(running.worker.heard.functions):
            await asyncio.sleep(0)
        reply = await ask(running, new_id("req"))
        assert reply.instance_id, reply.error
        while True:
            view = await running.registry.view()
            entry = view.entries.get(instance_key("fn-1", reply.instance_id))
            if isinstance(entry, Instance):
                return entry
            await asyncio.sleep(0)


async def ask(running: Running, name: str) -> JobReply:
    told: dict[str, JobReply] = {}
    async with asyncio.TaskGroup() as group:
        group.create_task(replies(running.jobs, 1, told))
        await asyncio.sleep(0)
        await running.ask(name, behave="it")
    return told[name]


async def get(instance: Instance, fault: Fault | None = None, **headers: str) -> httpx.Response:
    if fault is not None:
        headers["x-simulated-fault"] = fault
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.get(f"http://127.0.0.1:{instance.proxy_port}/", headers=headers)


def gone(instance: Instance):
    return lambda change: change.key == instance_key("fn-1", instance.instance_id) and change.value is None


def failure_told(change: Change) -> bool:
    return isinstance(change.value, WorkerRecord) and "fn-1" in change.value.failures


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault.CRASH, "exited: exit code 1"),
        (Fault.OUT_OF_MEMORY, "ran out of memory"),
        (Fault.HANG, "hung: its function did nothing for 0.4 s"),
        (Fault.FREEZE, "gave no sign of life for 0.4 s"),
        (Fault.GARBAGE, "answered with malformed HTTP"),
    ],
)
async def test_an_instance_that_fails_is_replaced_and_told_of(running: Running, fault: Fault, says: str):
    async with seen(running) as changes:
        instance = await start(running)
        answer = await get(instance, fault)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (502, "instance_failed")
        assert says in error["message"]
        assert error["hint"].endswith(f"[stderr] simulated {fault}")
        await changes.until(gone(instance))
        assert changes.place_of(failure_told) < changes.place_of(gone(instance))
        record = (await running.registry.view()).entries[worker_key("wrk-1")]
        failures = record.failures["fn-1"]
        assert (failures.revision, failures.in_a_row) == (1, 1)
        assert says in failures.reason
        assert f"simulated {fault}" in failures.console_tail
    assert await running.vmm.list() == []


async def test_a_failure_is_told_at_once(running: Running):
    async with seen(running) as changes:
        instance = await start(running)
        await get(instance, Fault.CRASH)
        async with asyncio.timeout(0.5):
            await changes.until(failure_told)


async def test_nobody_counts_on_an_instance_that_failed_while_its_proxy_has_connections(running: Running):
    async with seen(running) as changes:
        instance = await start(running)

        def draining(change: Change) -> bool:
            is_it = isinstance(change.value, Instance) and change.value.instance_id == instance.instance_id
            return is_it and change.value.status is InstanceStatus.DRAINING

        address = f"http://127.0.0.1:{instance.proxy_port}/"
        async with httpx.AsyncClient(trust_env=False) as client:
            slow = {"x-simulated-respond-ms": "50"}
            await asyncio.gather(client.get(address, headers=slow), client.get(address, headers=slow))
            await client.get(address, headers={"x-simulated-fault": Fault.CRASH})
            async with asyncio.timeout(1):
                await changes.until(draining)
        assert changes.place_of(failure_told) < changes.place_of(draining)
        await changes.until(gone(instance))


async def test_all_that_run_on_a_hung_instance_are_told_why(running: Running):
    instance = await start(running)
    answers = await asyncio.gather(
        get(instance, Fault.HANG), *(get(instance, **{"x-simulated-respond-ms": "50"}) for _ in range(4))
    )
    assert [answer.status_code for answer in answers] == [502] * 5
    assert all("hung" in answer.json()["error"]["message"] for answer in answers)


async def test_a_slow_function_that_lives_is_left_alone(running: Running):
    instance = await start(running)
    assert (await get(instance, **{"x-simulated-respond-ms": "1500"})).status_code == 200


async def test_a_function_that_is_asked_by_its_health_path_hangs(running: Running):
    running.worker._host.runtimes["node"] = replace(NODE, answers_probes=False)
    instance = await start(running, limits=replace(QUICK, health_path=HEALTH_PATH))
    assert "hung" in (await get(instance, Fault.HANG)).json()["error"]["message"]


async def test_a_function_that_says_it_is_not_well_does_not_hang(running: Running):
    limits = replace(QUICK, health_path=HEALTH_PATH)
    instance = await start(running, limits=limits)
    running.vmm._host.machines[instance.instance_id]._behaviour = Behaviour(well_after_s=1000)
    assert (await get(instance, **{"x-simulated-respond-ms": "1500"})).status_code == 200


async def test_a_paused_machine_is_not_taken_for_dead(running: Running, monkeypatch):
    monkeypatch.setattr(health, "IDLE_LOOK_S", 0.05)
    instance = await start(running)
    machine = running.vmm._host.machines[instance.instance_id]
    await running.vmm.pause(machine)
    request = asyncio.ensure_future(get(instance))
    await asyncio.wait({request}, timeout=1.5)
    await running.vmm.resume(machine)
    assert (await request).status_code == 200


async def test_time_without_a_processor_does_not_count(running: Running):
    instance = await start(running)
    machine = running.vmm._host.machines[instance.instance_id]

    async def starve() -> None:
        while True:
            machine.starved_s += 0.009
            await asyncio.sleep(0.01)

    starving = asyncio.ensure_future(starve())
    machine._server.freeze()
    request = asyncio.ensure_future(get(instance))
    await asyncio.wait({request}, timeout=0.7)
    assert not request.done(), "0.4 s of a processor are not over"
    starving.cancel()
    await asyncio.gather(starving, return_exceptions=True)
    assert "hung" in (await request).json()["error"]["message"]


async def test_the_guest_of_an_idle_instance_is_looked_at_now_and_then(running: Running, monkeypatch):
    monkeypatch.setattr(health, "IDLE_LOOK_S", 0.05)
    async with seen(running) as changes:
        instance = await start(running)
        machine = running.vmm._host.machines[instance.instance_id]
        machine._frozen = True
        machine._runs.clear()
        await changes.until(gone(instance))
        record = (await running.registry.view()).entries[worker_key("wrk-1")]
        assert "no sign of life" in record.failures["fn-1"].reason


async def test_a_function_that_cannot_be_asked_is_replaced_when_a_silent_requests_time_is_up(
    running: Running,
):
    running.worker._host.runtimes["node"] = replace(NODE, answers_probes=False)
    async with seen(running) as changes:
        instance = await start(running, limits=replace(QUICK, timeout_s=1))
        answer = await get(instance, Fault.HANG)
        assert answer.status_code == 504
        await changes.until(gone(instance))
        record = (await running.registry.view()).entries[worker_key("wrk-1")]
        assert record.failures == {}, "slow is no crash"


async def test_a_request_in_a_hurry_says_nothing_about_the_instance(running: Running):
    running.worker._host.runtimes["node"] = replace(NODE, answers_probes=False)
    instance = await start(running, limits=replace(QUICK, unresponsive_after_s=4))
    slow = {"x-simulated-respond-ms": "500", "x-aether-deadline-ms": "50"}
    assert (await get(instance, **slow)).status_code == 504
    assert (await get(instance)).status_code == 200


async def test_an_orderly_exit_is_an_end_too(running: Running):
    async with seen(running) as changes:
        instance = await start(running)
        assert (await get(instance, Fault.EXIT_AFTER_ANSWER)).status_code == 200
        await changes.until(gone(instance))
        record = (await running.registry.view()).entries[worker_key("wrk-1")]
        assert record.failures["fn-1"].reason == "exited: exit code 0"


@pytest.mark.parametrize(("fault", "lives"), [(Fault.CUT, True), (Fault.EXIT_MID_ANSWER, False)])
async def test_an_answer_that_breaks_off_is_seen_to_be_cut(running: Running, fault: Fault, lives: bool):
    async with seen(running) as changes:
        instance = await start(running)
        with pytest.raises(httpx.TransportError):
            await get(instance, fault)
        if lives:
            assert (await get(instance)).status_code == 200
        else:
            await changes.until(gone(instance))


async def test_failures_are_counted_in_a_row_until_one_fares_well(running: Running):
    for count in (1, 2):
        instance = await start(running)
        await get(instance, Fault.CRASH)
        record = (await running.registry.view()).entries[worker_key("wrk-1")]
        assert record.failures["fn-1"].in_a_row == count
    instance = await start(running)
    async with seen(running) as changes:
        await running.registry.set_status("fn-1", instance.instance_id, InstanceStatus.DRAINING)
        await changes.until(gone(instance))
    assert running.worker._crash_loops.told() == {}


async def test_an_instance_that_answered_many_begins_the_count_anew(running: Running):
    for _ in range(3):
        instance = await start(running)
        for _ in range(10):
            assert (await get(instance)).status_code == 200
        await get(instance, Fault.CRASH)
        record = (await running.registry.view()).entries[worker_key("wrk-1")]
        assert record.failures["fn-1"].in_a_row == 1


async def test_an_instance_that_lives_for_long_ends_the_count(running: Running, monkeypatch):
    instance = await start(running)
    await get(instance, Fault.CRASH)
    monkeypatch.setattr("aether.worker.serving.LIVED_LONG_S", 0.1)
    await start(running)
    async with asyncio.timeout(10):
        while running.worker._crash_loops.told():
            await asyncio.sleep(0.01)


async def test_failures_of_more_functions_than_can_be_told_are_not_kept(running: Running, monkeypatch):
    monkeypatch.setattr(crash_loops, "MAX_FUNCTIONS", 2)
    await start(running)
    job = next(iter(running.worker._instances.values())).job
    for number in range(4):
        await running.worker._crash_loops.failed(replace(job, function_id=f"fn-{number}"), "exited", "x")
    assert list(running.worker._crash_loops.told()) == ["fn-2", "fn-3"]


async def test_a_start_waits_until_the_function_is_well(running: Running):
    begun = asyncio.get_running_loop().time()
    await start(running, Behaviour(well_after_s=0.3), replace(QUICK, health_path=HEALTH_PATH))
    assert asyncio.get_running_loop().time() - begun >= 0.3


async def test_a_function_that_never_gets_well_fails_to_start_with_its_last_answer(running: Running):
    running.behave["it"] = Behaviour(well_after_s=1000)
    await running.put(1, limits=replace(QUICK, health_path=HEALTH_PATH))
    while not len(running.worker.heard.functions):
        await asyncio.sleep(0)
    told: dict[str, JobReply] = {}
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(replies(running.jobs, 1, told))
        await asyncio.sleep(0)
        await running.ask("one", behave="it", remaining_ms=500)
    assert told["one"].instance_id is None
    assert "GET /health was not answered with 2xx or 3xx" in told["one"].error
    assert "the last answer was 503" in told["one"].error
    assert not told["one"].capacity
    assert await running.vmm.list() == []


async def test_a_drain_has_its_limit_and_says_until_when(running: Running):
    async with seen(running) as changes:
        instance = await start(running, limits=Limits(drain_timeout_s=0.5))
        request = asyncio.ensure_future(get(instance, **{"x-simulated-respond-ms": "5000"}))
        await until_busy(running)
        await running.registry.set_status("fn-1", instance.instance_id, InstanceStatus.DRAINING)
        told = await changes.until(
            lambda c: isinstance(c.value, Instance) and c.value.drain_until is not None
        )
        assert 0 <= (told.value.drain_until - datetime.now(UTC)).total_seconds() <= 0.5
        with pytest.raises(httpx.TransportError):
            await request
        await changes.until(gone(instance))


@pytest.mark.parametrize(("within_s", "left_s"), [(None, 3.0), (0.0, 0.0)])
async def test_a_function_whose_own_drain_limit_is_over_has_its_time_to_finish_all_the_same(
    running: Running, monkeypatch, within_s, left_s
):
    """Unless the platform ends, which has no more time than it said."""
    graces: list[float] = []
    stop = running.vmm.stop

    async def noted(machine, grace_s=0.0):
        graces.append(grace_s)
        await stop(machine)

    monkeypatch.setattr(running.vmm, "stop", noted)
    async with seen(running) as changes:
        instance = await start(running, limits=Limits(drain_timeout_s=0.2))
        request = asyncio.ensure_future(get(instance, **{"x-simulated-respond-ms": "5000"}))
        await until_busy(running)
        running.worker._instances[instance.instance_id].drain(within_s)
        with pytest.raises(httpx.TransportError):
            await request
        await changes.until(gone(instance))
        while not graces:
            await asyncio.sleep(0)
    assert graces == [pytest.approx(left_s, abs=0.5)]


async def test_of_two_drains_the_sooner_one_counts(running: Running):
    instance = await start(running)
    request = asyncio.ensure_future(get(instance, **{"x-simulated-respond-ms": "60000"}))
    await until_busy(running)
    one = running.worker._instances[instance.instance_id]
    one.drain(within_s=300)
    await asyncio.sleep(0)
    one.drain(within_s=0.1)
    one.drain(within_s=200)
    with pytest.raises(httpx.TransportError):
        await asyncio.wait_for(request, 5)


async def test_the_function_is_told_what_is_left_of_the_time(running: Running):
    instance = await start(running)
    answer = await get(
        instance, **{"x-timeout-ms": "999999", "x-aether-deadline-ms": "1234", "x-aether-probe": "1"}
    )
    headers = answer.json()["headers"]
    assert [value for name, value in headers if name == "x-timeout-ms"] == ["1234"]
    assert not [name for name, _ in headers if name.startswith("x-aether")]


async def until_busy(running: Running) -> None:
    async with asyncio.timeout(10):
        while not any(i.load().in_flight for i in running.worker._instances.values()):
            await asyncio.sleep(0)


def test_every_end_is_worded():
    assert len({in_words(End(reason)) for reason in EndReason}) == len(EndReason)
