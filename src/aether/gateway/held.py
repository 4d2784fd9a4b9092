"""What is held on to after the registry lost everything, until its owners have put it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aether.ports.registry import config_key

HELD_S = 15.0
"""A worker or a gateway that lives puts again what it had within the life of its lease, 10 s."""
_CONFIG = config_key("")


class Held:
    """Keys of entries that a view of another history lacks. They may be gone; most are not."""

    def __init__(self, drop: Callable[[str], None]) -> None:
        """`drop`: called with a key that was not put again in time.

        Never with a configuration: that is gone when its row is, which the repair tells.
        """
        self._drop = drop
        self._keys: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, keys: Iterable[str]) -> None:
        self._keys.update(keys)
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
