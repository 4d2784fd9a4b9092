"""Whether an instance is well: asked under suspicion only, so that idle ones cost next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aether.domain.function import Limits
from aether.domain.last_words import last_words
from aether.ports.clock import Clock
from aether.ports.vmm import BootFailed, Machine, MachineState, Vmm
from aether.worker.probe import NoAnswer, is_well, sign_of_life, status_of_health
from aether.worker.signs import Signs

IDLE_LOOK_S = 30.0
"""How often the guest of an idle instance is pinged."""
LOST_SHARE = 0.2
"""Of a limit: what is lost of it to a busy host and worth giving back."""
MOST_GIVEN = 4
"""Times the limit, over which nothing is given back any more."""
GET_WELL_S = (0.02, 0.5)
"""The first pause between two looks at a health path, and the longest."""
PAUSED_LOOK_S = 0.5
NEARLY = 0.95
"""Timers and clocks differ by a little."""


class Health:
    """Of one instance whose function listens."""

    def __init__(
        self, vmm: Vmm, machine: Machine, signs: Signs, limits: Callable[[], Limits], clock: Clock
    ) -> None:
        self._vmm = vmm
        self._machine = machine
        self._signs = signs
        self._limits = limits
        self._clock = clock
        self._looked_s = clock.monotonic()

    async def until_unwell(self) -> str:
        """Why it has to be replaced, as soon as that is so. Asks nothing of a machine that is paused."""
        while True:
            await self._suspicion()
            self._looked_s = self._clock.monotonic()
            after_s = self._limits().unresponsive_after_s
            if self._machine.state is not MachineState.RUNNING:
                await asyncio.sleep(PAUSED_LOOK_S)
            elif not await self._shows_within(after_s, lambda: self._vmm.ping(self._machine)):
                return f"gave no sign of life for {after_s:g} s"
            elif self._silent_s() >= after_s / 2 and self._can_be_asked and not await self._function(after_s):
                return f"hung: its function did nothing for {after_s:g} s"

    @property
    def _can_be_asked(self) -> bool:
        return bool(self._limits().health_path) or self._machine.spec.runtime.answers_probes

    async def _function(self, after_s: float) -> bool:
        """Ask it, and give it the second half of its time. It is well if it does anything meanwhile."""
        address, path = self._machine.address, self._limits().health_path
        if await self._shows_within(after_s / 2, lambda: sign_of_life(address, path)):
            self._signs.heard(self._clock.monotonic())
        return self._silent_s() < NEARLY * after_s

    async def _suspicion(self) -> None:
        """Wait until it owes an answer for half of its time, or it is long that anybody looked."""
        while True:
            now_s = self._clock.monotonic()
            since_look_s = now_s - self._looked_s
            if not self._signs.in_flight:
                if since_look_s >= IDLE_LOOK_S:
                    return
                await self._or_busy(IDLE_LOOK_S - since_look_s)
                continue
            half_s = self._limits().unresponsive_after_s / 2
            silent_s = min(self._silent_s(), since_look_s)
            if silent_s >= half_s:
                return
            await asyncio.sleep(half_s - silent_s)

    async def _or_busy(self, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._signs.busy.wait()
        except TimeoutError:
            pass

    def _silent_s(self) -> float:
        return self._signs.silent_s(self._clock.monotonic())

    async def _shows_within(self, limit_s: float, sign: Callable[[], Awaitable[object]]) -> bool:
        """Whether the sign comes in time, as far as can be told: that of a paused machine can't.

        Time in which this host had no processor for the machine, or for us to see its answer, doesn't count.
        """
        until_s = self._clock.monotonic() + MOST_GIVEN * limit_s
        left_s = limit_s
        while True:
            begun_s, starved_s = self._clock.monotonic(), self._vmm.starved_s(self._machine)
            try:
                async with asyncio.timeout(left_s):
                    await sign()
            except TimeoutError:
                if self._machine.state is not MachineState.RUNNING:
                    return True
            else:
                return True
            now_s = self._clock.monotonic()
            late_s = now_s - begun_s - left_s
            lost_s = late_s + self._vmm.starved_s(self._machine) - starved_s
            if lost_s < LOST_SHARE * limit_s or now_s >= until_s:
                return False
            left_s = min(lost_s, limit_s)


async def get_well(vmm: Vmm, machine: Machine, path: str, within_s: float) -> None:
    """Wait until a GET of `path` is answered with 2xx or 3xx. Raises BootFailed with the last answer."""
    pause_s, longest_s = GET_WELL_S
    last = "it did not answer"
    try:
        async with asyncio.timeout(within_s):
            while True:
                try:
                    status = await status_of_health(machine.address, path)
                    if is_well(status):
                        return
                    last = f"the last answer was {status}"
                except NoAnswer as error:
                    last = f"the last time, {error}"
                await _pause_unless_ended(vmm, machine, pause_s)
                pause_s = min(2 * pause_s, longest_s)
    except TimeoutError:
        tail = last_words(vmm.console(machine.spec.instance_id))
        message = f"GET {path} was not answered with 2xx or 3xx within {within_s:.1f} s: {last}"
        raise BootFailed(message, console_tail=tail) from None


async def _pause_unless_ended(vmm: Vmm, machine: Machine, pause_s: float) -> None:
    try:
        async with asyncio.timeout(pause_s):
            end = await machine.ended()
    except TimeoutError:
        return
    tail = last_words(vmm.console(machine.spec.instance_id))
    raise BootFailed(f"the function ended before it was well: {end.detail}", console_tail=tail)
