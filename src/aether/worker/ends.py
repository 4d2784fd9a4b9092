"""How a machine ended: in words, and as soon as it can be known."""

from __future__ import annotations

from aether.ports.vmm import End, EndReason, Machine, Vmm
from aether.worker.side_by_side import one_ended, side_by_side

WITHIN_S = 3.0
"""How long a broken request waits for the machine to say why it ended, or that it lives."""
LIVES_S = 0.25
"""A guest that lives, but for a function that has just ended, says so within this."""

_ENDED = {
    EndReason.OUT_OF_MEMORY: "ran out of memory",
    EndReason.EXITED: "exited",
    EndReason.KILLED: "was killed",
    EndReason.STOPPED: "was stopped",
}
_SUDDEN = frozenset({EndReason.EXITED, EndReason.KILLED})


def elsewhere(end: End | None, *, hung: bool) -> str:
    """What gateways are told of a request that broke where it may fare better on another instance.

    `ended`, or `broken` if only its connection is; nothing where the function hung or took all memory,
    for that took time, and would again.
    """
    if end is None:
        return "" if hung else "broken"
    sudden = not hung if end.reason is EndReason.STOPPED else end.reason in _SUDDEN
    return "ended" if sudden else ""


def in_words(end: End) -> str:
    """The machine's end, as what an instance did."""
    return f"{_ENDED[end.reason]}{f': {end.detail}' if end.detail else ''}"


async def end_soon(vmm: Vmm, machine: Machine) -> End | None:
    """The end of a machine of which a connection broke, as that comes a moment before; None if it lives."""
    async with side_by_side(machine.ended(), vmm.ping(machine)) as (ended, lives):
        await one_ended(ended, lives, within_s=WITHIN_S)
        if not ended.done() and lives.done():
            await one_ended(ended, within_s=LIVES_S)
        return ended.result() if ended.done() else None
