"""A host of instances that is cut off, or whose processes are stopped, while requests run there."""

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager

import httpx
import pytest
from tests.integration.hosts.conftest import gateway_before

from aether.gateway.silence import SILENT_AFTER_S

pytestmark = pytest.mark.slow
NOTICED_WITHIN_S = 6.0


@asynccontextmanager
async def load(served, answers: Counter[str], slowest: list[float]):
    """Forty requests a second, each on its own."""

    async def call() -> None:
        began = time.perf_counter()
        answers[await served.who()] += 1
        slowest[0] = max(slowest[0], time.perf_counter() - began)

    async def calls() -> None:
        async with asyncio.TaskGroup() as group:
            while not done.is_set():
                group.create_task(call())
                await asyncio.sleep(0.025)

    done = asyncio.Event()
    running = asyncio.ensure_future(calls())
    try:
        yield
    finally:
        done.set()
        await running


async def waiting_at(served, host, *methods: str) -> list[list[asyncio.Task[httpx.Response]]]:
    """Requests by these methods that wait for an answer of this host; others answer such ones late."""

    def hang(method: str) -> asyncio.Task[httpx.Response]:
        return asyncio.ensure_future(served.client.request(method, f"/functions/hello/hang/{host.name}"))

    # In an order that lets each host get some of each, though they get requests in turn.
    sent = [(m, hang(m)) for turn in range(6) for m in (methods if turn % 2 else reversed(methods))]
    await asyncio.sleep(1.5)
    by_method = [[task for m, task in sent if m == method and not task.done()] for method in methods]
    assert all(by_method)
    return by_method


async def test_a_host_that_is_cut_off_costs_only_what_no_other_may_answer(hosts, tmp_path):
    """And it is used again when it is back, though the registry told of nothing."""
    lost, well = hosts
    answers, slowest = Counter(), [0.0]
    async with gateway_before(hosts, tmp_path) as served:
        posts, gets = await waiting_at(served, lost, "POST", "GET")
        began = time.perf_counter()
        async with load(served, answers, slowest):
            lost.cut()
            failed = await asyncio.gather(*posts)
            tried_again = await asyncio.gather(*gets)
            noticed_s = time.perf_counter() - began
            await asyncio.sleep(0.5)
            while_lost = Counter(answers)
            answers.clear()
            lost.heal()
            async with asyncio.timeout(10):
                while not answers[lost.name]:
                    await asyncio.sleep(0.01)
    assert {answer.status_code for answer in failed} == {502}
    assert "its host does not answer any more" in failed[0].json()["error"]["message"]
    assert {answer.text for answer in tried_again} == {well.name}
    assert noticed_s < NOTICED_WITHIN_S
    assert set(while_lost) <= {lost.name, well.name}
    assert set(answers) == {lost.name, well.name}
    assert slowest[0] < NOTICED_WITHIN_S


async def test_requests_prefer_others_to_a_worker_that_is_stopped_and_what_waits_there_is_answered(
    hosts, tmp_path
):
    """SIGSTOP: the kernel goes on taking connections, but no heartbeat comes, and no answer."""
    stopped, well = hosts
    answers, slowest = Counter(), [0.0]
    async with gateway_before(hosts, tmp_path) as served:
        await asyncio.sleep(1.5)  # heartbeats enough to know its pace
        async with load(served, answers, slowest):
            stopped.pause()
            served.beating.stopped.add(stopped.name)
            await asyncio.sleep(SILENT_AFTER_S + 1.0)
            began, before = time.perf_counter(), sum(answers.values())
            later, slowest_later = Counter(), [0.0]
            async with load(served, later, slowest_later):
                await asyncio.sleep(1.0)
            stopped.resume()
            stopped_s = time.perf_counter() - began + SILENT_AFTER_S + 1.0
            served.beating.stopped.clear()
            async with asyncio.timeout(5):
                while served.gateway.routes.ready(served.function) < len(hosts):
                    await asyncio.sleep(0.01)
    assert before > 0
    assert set(later) == {well.name}
    assert slowest_later[0] < 1.0
    assert set(answers) == {stopped.name, well.name}
    assert slowest[0] < stopped_s + 1.0
