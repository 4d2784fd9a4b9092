"""Whether workers can be reached from here: by their own ports, and by what became of calls to instances.

A worker tells by `WORKER_IP` where gateways reach it. Where that is wrong, or a firewall is between, it takes
jobs and starts instances that nobody can call: that is to be known before a request finds out.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from aether.domain.worker import Worker
from aether.gateway.routes import RouteTable
from aether.ports.clock import Clock

log = structlog.get_logger()

ANSWER_WITHIN_S = 2.0
ANSWER_BYTES = 64 * 1024
AGAIN_S = 0.5
"""After the first failure: it may have been this process that was late."""
UNREACHABLE_EVERY_S, REACHABLE_EVERY_S = 2.0, 15.0
_LOOK_EVERY_S = 0.2
HINT = "is WORKER_IP what this host reaches it by, and are its ports open: AETHER_WORKER_PORT, 30000 and up?"


class CannotReach(Exception):
    """With why."""


Probe = Callable[[Worker], Awaitable[None]]
"""Raises CannotReach."""


@dataclass(slots=True)
class _State:
    address: tuple[str, int]
    due_s: float
    failures: int = 0
    reason: str = ""
    """Why its own port can't be reached."""


class WorkerReach:
    """Keeps `routes.unreachable`; `run` has to be running for that. Who tells no port is not asked."""

    def __init__(self, routes: RouteTable, clock: Clock, probe: Probe | None = None) -> None:
        self._routes = routes
        self._clock = clock
        self._probe = probe or ask_health
        self._states: dict[str, _State] = {}
        self._lost_hosts: set[str] = set()

    def host(self, host: str, answers: bool) -> None:
        """Whether instances there answer from here, whatever the worker's own port does."""
        if answers:
            self._lost_hosts.discard(host)
        else:
            self._lost_hosts.add(host)
        for state in self._states.values():
            if state.address[0] == host and state.due_s != math.inf:
                state.due_s = 0.0
        self._publish()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                now_s = self._clock.monotonic()
                for worker in self._due(now_s):
                    group.create_task(self._check(worker), name=f"reach worker {worker.id}")
                self._publish()
                await asyncio.sleep(_LOOK_EVERY_S)

    def _due(self, now_s: float) -> list[Worker]:
        workers = self._routes.workers
        for worker_id in self._states.keys() - workers.keys():
            del self._states[worker_id]
        due = []
        for worker in workers.values():
            address = worker.public_ip, worker.port
            state = self._states.get(worker.id)
            if state is None or state.address != address:
                state = self._states[worker.id] = _State(address, now_s)
            if worker.port and state.due_s <= now_s:
                state.due_s = math.inf
                due.append(worker)
        return due

    async def _check(self, worker: Worker) -> None:
        state = self._states[worker.id]
        try:
            await self._probe(worker)
        except CannotReach as error:
            state.failures += 1
            if state.failures > 1:
                state.reason = f"{_address(worker)}: {error}"
            pause_s = AGAIN_S if state.failures == 1 else UNREACHABLE_EVERY_S
        else:
            state.failures, state.reason, pause_s = 0, "", REACHABLE_EVERY_S
        state.due_s = self._clock.monotonic() + pause_s

    def _publish(self) -> None:
        told = self._routes.unreachable
        for worker_id in told.keys() - self._routes.workers.keys():
            del told[worker_id]
        for worker in self._routes.workers.values():
            reason = self._reason(worker)
            if reason and worker.id not in told:
                log.error("worker can't be reached from here", worker=worker.id, reason=reason, hint=HINT)
            elif not reason and told.pop(worker.id, None) is not None:
                log.info("worker can be reached again", worker=worker.id)
            if reason:
                told[worker.id] = reason

    def _reason(self, worker: Worker) -> str:
        state = self._states.get(worker.id)
        if state is not None and state.reason:
            return state.reason
        if worker.public_ip in self._lost_hosts:
            return f"{worker.public_ip}: its instances' ports do not answer"
        return ""


async def ask_health(worker: Worker) -> None:
    """Ask its own port who it is. Raises CannotReach."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection(worker.public_ip, worker.port)
            try:
                host = _address(worker)
                writer.write(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                answer = b""
                while len(answer) < ANSWER_BYTES and (more := await reader.read(4096)):
                    answer += more
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        raise CannotReach(f"no answer within {ANSWER_WITHIN_S:g} s") from None
    except OSError as error:
        raise CannotReach(error.strerror or str(error)) from error
    if not answer.startswith(b"HTTP/1.1 "):
        raise CannotReach("what answers there is no worker")
    there = _worker_id(answer)
    if there and there != worker.id:
        raise CannotReach(f"worker {there} answers there")


def _worker_id(answer: bytes) -> str:
    """As far as the answer tells."""
    try:
        document = json.loads(answer.partition(b"\r\n\r\n")[2])
    except ValueError:
        return ""
    return str(document.get("worker_id", "")) if isinstance(document, dict) else ""


def _address(worker: Worker) -> str:
    host = f"[{worker.public_ip}]" if ":" in worker.public_ip else worker.public_ip
    return f"{host}:{worker.port}"
