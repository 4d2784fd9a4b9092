"""Workers whose heartbeats stay away: their instances may hang, so that others are preferred meanwhile.

A process that is stopped, or a host that is cut off from the registry, keeps its lease for some seconds, and
its kernel still takes connections. Running requests are left alone: whoever hangs may go on and answer them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from aether.domain.worker import Worker
from aether.gateway.places import Doubt
from aether.gateway.routes import RouteTable
from aether.ports.clock import Clock

log = structlog.get_logger()

SILENT_AFTER_S = 3.0
"""Heartbeats come once a second; foreign workers have a pace of their own."""
_USUAL_GAPS = 3.0
"""So many of the gaps that are usual with a worker make a silence."""
_LOOK_EVERY_S = 0.5


@dataclass(slots=True)
class _Heard:
    record: Worker
    at_s: float
    usual_gap_s: float | None = None
    silent: bool = False


class Silence:
    """`run` looks for ever. Where all are silent it is the registry that is, and nobody is in doubt."""

    def __init__(self, routes: RouteTable, clock: Clock) -> None:
        self._routes = routes
        self._clock = clock
        self._heard: dict[str, _Heard] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        now_s = self._clock.monotonic()
        for gone in self._heard.keys() - self._routes.workers.keys():
            del self._heard[gone]
        for worker_id, record in self._routes.workers.items():
            self._hear(worker_id, record, now_s)
        silent = {worker_id for worker_id, heard in self._heard.items() if _is_silent(heard, now_s)}
        if len(silent) == len(self._heard):
            silent.clear()
        for worker_id, heard in self._heard.items():
            if heard.silent != (worker_id in silent):
                heard.silent = not heard.silent
                self._tell(worker_id, heard)
        self._mark(silent)

    def _hear(self, worker_id: str, record: Worker, now_s: float) -> None:
        heard = self._heard.get(worker_id)
        if heard is None:
            self._heard[worker_id] = _Heard(record, now_s)
        elif heard.record is not record:
            gap_s = now_s - heard.at_s
            if not heard.silent:
                usual_s = gap_s if heard.usual_gap_s is None else heard.usual_gap_s
                heard.usual_gap_s = 0.8 * usual_s + 0.2 * gap_s
            heard.record, heard.at_s = record, now_s

    @staticmethod
    def _tell(worker_id: str, heard: _Heard) -> None:
        if heard.silent:
            log.warning("worker silent: instances of others are preferred", worker=worker_id)
        else:
            log.info("worker heard again", worker=worker_id)

    def _mark(self, silent: set[str]) -> None:
        """At every look: instances come and go."""
        for function in list(self._routes.functions()):
            changed = False
            for slot in self._routes.slots(function.id):
                doubted = slot.instance.worker_id in silent
                if doubted != (Doubt.WORKER in slot.doubts):
                    slot.doubts ^= {Doubt.WORKER}
                    changed = True
            if changed:
                self._routes.changed(function.id)


def _is_silent(heard: _Heard, now_s: float) -> bool:
    if heard.usual_gap_s is None:
        return False
    return now_s - heard.at_s > max(SILENT_AFTER_S, _USUAL_GAPS * heard.usual_gap_s)
