"""What other gateways ask for, and what that leaves to this one.

They know of each other by their records, some milliseconds late. Until these can be there, each keeps to a
share of what a function may have; and what one of them is to do for all, the one does that comes first in
an order of the function's own.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from hashlib import blake2b

from aether.domain.function import FunctionConfig
from aether.domain.gateway import GatewayRecord
from aether.domain.gateways import Gateways
from aether.gateway.routes import RouteTable
from aether.ports.clock import Clock

TOLD_WITHIN_S = 0.15
"""By then others have told what they have asked for: records are put at once, and watched."""
STILL_S = 2 * TOLD_WITHIN_S
"""Who waits is looked at when that has passed: what is wanted later still is wanted anew."""


class Others:
    """`changed` is called with a function's id when they tell anything else of it, `room_wanted` when one of
    them has no room.
    """

    def __init__(
        self,
        routes: RouteTable,
        clock: Clock,
        own_id: str,
        *,
        changed: Callable[[str], None],
        room_wanted: Callable[[], None],
    ) -> None:
        self._routes = routes
        self._clock = clock
        self._own_id = own_id
        self._changed = changed
        self._room_wanted = room_wanted
        self.told = Gateways(own_id)
        self._more: dict[str, float] = {}
        """Since when more than this gateway's share is wanted of a function."""
        routes.on_gateway = self._heard
        routes.on_gateway_gone = self._gone

    def waiting(self, function_id: str) -> int:
        return self.told.waiting(function_id, self._clock.monotonic())

    def starting(self, function_id: str, revision: int) -> int:
        return self.told.starting(function_id, revision, self._clock.monotonic())

    def try_again(self, function: FunctionConfig) -> bool:
        """Somebody there wished its newest version, which failed, to be started once more."""
        return self.told.trying_again(function.id, function.version.revision, self._clock.monotonic())

    def is_ours(self, function_id: str) -> bool:
        """Whether it is this gateway that does what one has to do for a function."""
        return self._order(function_id)[0] == self._own_id

    def allowed(self, function_id: str, wanted: int, *, most: int) -> int:
        """How many of the `wanted` instances may be on their way for this gateway, of `most` for all.

        Its share at once, and what others leave of theirs after they have had the time to tell.
        """
        order = self._order(function_id)
        each, left = divmod(max(0, most), len(order))
        share = each + (order.index(self._own_id) < left)
        if wanted <= share:
            return wanted
        now_s = self._clock.monotonic()
        waited_s = now_s - self._more.get(function_id, -math.inf)
        if waited_s >= STILL_S:
            self._more[function_id] = now_s
            asyncio.get_running_loop().call_later(1.1 * TOLD_WITHIN_S, self._changed, function_id)
        elif waited_s >= TOLD_WITHIN_S:
            del self._more[function_id]
            return wanted
        return share

    def enough(self, function_id: str) -> None:
        """No more is wanted of it now."""
        self._more.pop(function_id, None)

    def forget(self, function_id: str) -> None:
        """The function is there no more."""
        self._more.pop(function_id, None)

    def _order(self, function_id: str) -> list[str]:
        """All gateways, this one too, as every one of them orders them for that function."""
        ids = self.told.ids(self._clock.monotonic())
        return sorted([*ids, self._own_id], key=lambda gateway_id: _rank(function_id, gateway_id))

    def _heard(self, record: GatewayRecord) -> None:
        if record.id == self._own_id:
            return
        before = self.told.of(record.id)
        self.told.heard(record, self._clock.monotonic())
        self._take_over(record)
        if before is None or before.starting != record.starting or before.waiting != record.waiting:
            for function_id in _ids(record) | (_ids(before) if before is not None else set()):
                self._changed(function_id)
        if record.missing_room:
            self._room_wanted()

    def _take_over(self, record: GatewayRecord) -> None:
        for function_id, revision in record.took_over.items():
            function = self._routes.find(function_id)
            if (
                function is not None
                and function.version.revision == revision
                and self._routes.rolls(function)
            ):
                self._routes.rollouts.takes_over(function)
                self._routes.changed(function_id)

    def _gone(self, gateway_id: str) -> None:
        """What it was to do, or had asked for, is others' now."""
        before = self.told.of(gateway_id)
        self.told.gone(gateway_id)
        for function_id in _ids(before) if before is not None else ():
            self._changed(function_id)
        self._look_at_rollouts(self._routes.functions())

    def _look_at_rollouts(self, functions: Iterable[FunctionConfig]) -> None:
        for function_id in [function.id for function in functions if self._routes.rolls(function)]:
            self._changed(function_id)


def _ids(record: GatewayRecord) -> set[str]:
    return {*record.starting, *record.waiting}


def _rank(function_id: str, gateway_id: str) -> bytes:
    return blake2b(f"{function_id} {gateway_id}".encode(), digest_size=8).digest()
