"""Workers that can't be reached from here: found out, told once, avoided, and noticed when they are back."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from tests.unit.gateway.conftest import worker

from aether.adapters.clock import SystemClock
from aether.domain.worker import Worker
from aether.gateway import worker_reach
from aether.gateway.routes import RouteTable
from aether.gateway.worker_reach import CannotReach, WorkerReach, ask_health


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(worker_reach, "ANSWER_WITHIN_S", 0.2)
    monkeypatch.setattr(worker_reach, "AGAIN_S", 0.02)
    monkeypatch.setattr(worker_reach, "UNREACHABLE_EVERY_S", 0.02)
    monkeypatch.setattr(worker_reach, "_LOOK_EVERY_S", 0.01)


def at(port: int, name: str = "wrk-1") -> Worker:
    return replace(worker(), id=name, public_ip="127.0.0.1", port=port)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@asynccontextmanager
async def health(answer: str | None, port: int = 0) -> AsyncIterator[int]:
    """A worker's own port that answers so, or never with None."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if answer is not None:
                writer.write(answer.encode())
            else:
                await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, reuse_address=True)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def says(worker_id: str) -> str:
    return f"HTTP/1.1 200 OK\r\n\r\n{json.dumps({'status': 'ok', 'worker_id': worker_id})}"


@asynccontextmanager
async def looking(*workers: Worker) -> AsyncIterator[tuple[RouteTable, WorkerReach]]:
    routes = RouteTable()
    routes.workers = {w.id: w for w in workers}
    reach = WorkerReach(routes, SystemClock())
    run = asyncio.ensure_future(reach.run())
    try:
        yield routes, reach
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_one_that_answers_is_reached_and_one_that_does_not_is_told_of_once_and_when_it_is_back():
    port = free_port()
    async with health(says("wrk-1")) as good:
        with capture_logs() as logs:
            async with looking(at(good), at(port, "wrk-2")) as (routes, _):
                await until(lambda: "wrk-2" in routes.unreachable)
                assert routes.unreachable["wrk-2"].startswith(f"127.0.0.1:{port}: ")
                assert "wrk-1" not in routes.unreachable
                async with health(says("wrk-2"), port):
                    await until(lambda: not routes.unreachable)
        told = [(e["log_level"], e["worker"]) for e in logs]
        assert told == [("error", "wrk-2"), ("info", "wrk-2")]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "no answer within"),
        (says("wrk-other"), "worker wrk-other answers there"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "what answers there is no worker"),
    ],
)
async def test_what_else_answers_there_is_not_that_worker(answer, why):
    async with health(answer) as port:
        with pytest.raises(CannotReach, match=why):
            await ask_health(at(port))


async def test_one_without_an_id_in_its_answer_is_taken_for_it():
    async with health("HTTP/1.1 200 OK\r\n\r\nok") as port:
        await ask_health(at(port))


async def test_a_single_failure_is_not_told():
    fails = [True]

    async def probe(_worker: Worker) -> None:
        if fails:
            fails.pop()
            raise CannotReach("late")
        asked.set()

    asked = asyncio.Event()
    routes = RouteTable()
    routes.workers = {"wrk-1": at(1)}
    reach = WorkerReach(routes, SystemClock(), probe)
    run = asyncio.ensure_future(reach.run())
    await asked.wait()
    assert routes.unreachable == {}
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_lost_instances_tell_of_their_worker_though_its_own_port_answers():
    async with health(says("wrk-1")) as port, looking(at(port)) as (routes, reach):
        reach.host("127.0.0.1", answers=False)
        assert routes.unreachable == {"wrk-1": "127.0.0.1: its instances' ports do not answer"}
        reach.host("127.0.0.1", answers=True)
        assert routes.unreachable == {}


async def test_foreign_workers_and_those_that_went_are_not_told_of():
    async with looking(at(0), at(free_port(), "wrk-2")) as (routes, _):
        await until(lambda: "wrk-2" in routes.unreachable)
        del routes.workers["wrk-2"]
        await until(lambda: not routes.unreachable)
