"""What is held on to after the registry lost it, until its owners have put it again.

That is everything, when it was restored empty, and what was under leases, when it stood still for longer than
they last: it ends them all before anybody can renew one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aether.ports.registry import config_key

HELD_S = 15.0
"""A worker or a gateway that lives puts again what it had within the life of its lease, 10 s."""
SILENCE_S = 4.0
"""Gateways and workers tell of themselves every second: who hears nothing for so long has no registry."""
AFTER_SILENCE_S = 3.0
"""Leases that ran out meanwhile are ended within half a second. Source: etcd, lessor's expiry loop."""
_CONFIG = config_key("")


class Held:
    """Keys of entries that the registry lacks for a reason of its own. They may be gone; most are not."""

    def __init__(self, drop: Callable[[str], None]) -> None:
        """`drop`: called with a key that was not put again in time.

        Never with a configuration: that is gone when its row is, which the repair tells.
        """
        self._drop = drop
        self._keys: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._heard_s: float | None = None
        self._wary_until_s = float("-inf")

    def heard(self) -> None:
        """The registry told of something."""
        now_s = asyncio.get_running_loop().time()
        if self._heard_s is not None and now_s - self._heard_s > SILENCE_S:
            self._wary_until_s = now_s + AFTER_SILENCE_S
        self._heard_s = now_s

    def doubts(self, key: str) -> bool:
        """Whether the end of this entry may be the registry's doing, since it was silent until just now."""
        return (
            not key.startswith(_CONFIG) and self._heard_s is not None and self._heard_s < self._wary_until_s
        )

    def hold(self, keys: Iterable[str]) -> None:
        before = len(self._keys)
        self._keys.update(keys)
        if len(self._keys) == before:
            return
        self.close()
        self._timer = asyncio.get_running_loop().call_later(HELD_S, self._time_is_up)

    def seen(self, keys: Iterable[str]) -> None:
        """They were put again, or are known to be gone."""
        self._keys.difference_update(keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        for key in [key for key in self._keys if not key.startswith(_CONFIG)]:
            self._keys.discard(key)
            self._drop(key)
