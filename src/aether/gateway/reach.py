"""Instances that can't be reached from here: passed over, and tried again until they can.

The registry tells when an instance ends, and when its worker does. It does not tell of a network that leads
there no more, from here, nor when it does again: that is found out here.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import structlog

from aether.gateway.places import Doubt, Slot
from aether.gateway.routes import RouteTable
from aether.http import Upstream, is_unreachable
from aether.ports.clock import Clock

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0
"""Between two tries; doubled each time. Whoever heals is back within the longer one."""
_FORGIVEN_AFTER_S = 60.0
"""Until then an instance that barred a request, and does so again, is passed over for longer."""
_LOOK_EVERY_S = 0.1

Key = TypeVar("Key")
Connect = Callable[[Upstream], Awaitable[None]]


@dataclass(slots=True)
class _Trial:
    slot: Slot
    due_s: float
    tries: int = 0


class Reach:
    """Hears what became of connections. `run` has to be running for anything to come back.

    A host that did not answer in time is in doubt first, with all instances there: others are preferred. It
    may have been this process that was late. Only when it does not answer a second time are they lost, which
    has new ones started elsewhere.
    """

    def __init__(self, routes: RouteTable, clock: Clock) -> None:
        self._routes = routes
        self._clock = clock
        self.on_host: Callable[[str, bool], None] = lambda _host, _answers: None
        """Called with a host's address when it is lost, and when it answers again or has no instance left."""
        self._hosts: dict[str, _Trial] = {}
        """By address, those that are in doubt or lost."""
        self._alone: dict[Slot, _Trial] = {}
        """Instances whose host is well, but that nobody listens for."""
        self._barred: dict[Slot, _Trial] = {}

    # What is heard

    def silent(self, slot: Slot) -> None:
        """Its host did not answer."""
        host = slot.instance.host_ip
        if host not in self._hosts:
            log.warning("host in doubt: it does not answer", host=host)
            self._hosts[host] = _Trial(slot, self._clock.monotonic())
        self._doubt_all(host)

    def refused(self, slot: Slot) -> None:
        """Nobody listens there, or it broke a connection. Most likely it ends, and the registry will tell."""
        self._routes.lose(slot)
        self._alone.setdefault(slot, _Trial(slot, self._clock.monotonic() + FIRST_PAUSE_S))

    def barred(self, slot: Slot, why: str) -> bool:
        """It takes no request from this gateway; whether that is news. Others are preferred for a while."""
        news = Doubt.BARRED not in slot.doubts
        trial = self._barred.get(slot)
        if trial is None:
            trial = self._barred[slot] = _Trial(slot, 0.0)
            log.error(
                "an instance takes no request from this gateway",
                instance=slot.instance.instance_id,
                reason=why,
            )
        if news:
            trial.due_s = self._clock.monotonic() + _pause_s(trial)
            self._doubt(slot, Doubt.BARRED)
        return news

    # How they come back

    async def run(self, connect: Connect) -> None:
        """Until cancelled. `connect` raises OSError where it can't."""
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                now_s = self._clock.monotonic()
                for host, trial in _due(self._hosts, now_s):
                    group.create_task(self._try_host(host, trial, connect), name=f"reach {host}")
                for slot, trial in _due(self._alone, now_s):
                    group.create_task(self._try_alone(slot, trial, connect), name=f"reach {slot.upstream}")
                for slot, trial in _due(self._barred, now_s):
                    self._let_in(slot, trial)

    async def _try_host(self, host: str, trial: _Trial, connect: Connect) -> None:
        there = list(self._at(host))
        if not there:
            del self._hosts[host]
            self.on_host(host, True)
            return
        slot = trial.slot if trial.slot in there else there[0]
        if await _answers(slot.upstream, connect):
            self._found_again(host)
            return
        if trial.tries == 0:
            log.error("host lost, with all instances there", host=host)
            self.on_host(host, False)
        self._again(trial)
        for each in self._at(host):
            self._routes.lose(each)

    def _found_again(self, host: str) -> None:
        del self._hosts[host]
        log.info("host answers again", host=host)
        self.on_host(host, True)
        for slot in self._at(host):
            slot.doubts.discard(Doubt.HOST)
            slot.lost = slot in self._alone
            self._routes.changed(slot.instance.function_id)

    async def _try_alone(self, slot: Slot, trial: _Trial, connect: Connect) -> None:
        if not self._known(slot) or not slot.lost:
            del self._alone[slot]
            return
        try:
            await connect(slot.upstream)
        except OSError:
            self._again(trial)
            return
        del self._alone[slot]
        if slot.instance.host_ip not in self._hosts:
            slot.lost = False
            self._routes.changed(slot.instance.function_id)

    def _let_in(self, slot: Slot, trial: _Trial) -> None:
        """Only a request can find out whether it takes them now."""
        if not self._known(slot):
            del self._barred[slot]
        elif Doubt.BARRED in slot.doubts:
            self._again(trial)
            trial.due_s = self._clock.monotonic() + _FORGIVEN_AFTER_S
            slot.doubts.discard(Doubt.BARRED)
            self._routes.changed(slot.instance.function_id)
        else:
            del self._barred[slot]

    def _again(self, trial: _Trial) -> None:
        trial.tries += 1
        trial.due_s = self._clock.monotonic() + _pause_s(trial)

    def _doubt(self, slot: Slot, doubt: Doubt) -> None:
        if doubt not in slot.doubts:
            slot.doubts.add(doubt)
            self._routes.changed(slot.instance.function_id)

    def _doubt_all(self, host: str) -> None:
        for slot in self._at(host):
            self._doubt(slot, Doubt.HOST)

    def _at(self, host: str) -> Iterator[Slot]:
        for function in list(self._routes.functions()):
            for slot in list(self._routes.slots(function.id)):
                if slot.instance.host_ip == host:
                    yield slot

    def _known(self, slot: Slot) -> bool:
        return slot in self._routes.slots(slot.instance.function_id)


def _due(trials: dict[Key, _Trial], now_s: float) -> list[tuple[Key, _Trial]]:
    """Those whose time has come; none is given twice before its next time is set."""
    due = [(key, trial) for key, trial in trials.items() if trial.due_s <= now_s]
    for _, trial in due:
        trial.due_s = math.inf
    return due


async def _answers(upstream: Upstream, connect: Connect) -> bool:
    """Whether its host says anything, be it no."""
    try:
        await connect(upstream)
    except OSError as error:
        return not is_unreachable(error)
    return True


def _pause_s(trial: _Trial) -> float:
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(trial.tries, 10))
