"""A place at an instance, and what it took to have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aether.gateway.places import Slot


@dataclass(frozen=True, slots=True)
class Grant:
    """An instance with a place for the request."""

    slot: Slot
    cold: bool
    phases: Mapping[str, float]
    """Milliseconds of the wait; `queue` always, and those of the start for a cold one."""


def granted(slot: Slot, waited_ms: float, start: Mapping[str, float] | None) -> Grant:
    """`start` holds the phases of the instance's start in their order, if that ended during the wait.

    Who came when the start was under way waited for the end of it only: phases add up to the wait.
    """
    if start is None:
        return Grant(slot, cold=False, phases={"queue": waited_ms})
    left_ms = waited_ms
    shares = {}
    for phase, took_ms in reversed(list(start.items())):
        shares[phase] = min(took_ms, left_ms)
        left_ms -= shares[phase]
    return Grant(slot, cold=True, phases={"queue": left_ms, **{phase: shares[phase] for phase in start}})
