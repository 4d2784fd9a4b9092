"""What all gateways tell together, as long as it is recent. No wall clock has a say in it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from aether.domain.gateway import GATEWAY, GatewayRecord

TOO_OLD_S = 5.0
"""Gateways tell once a second; what one told that has not been heard for so long counts no more."""

LED_WITHIN_S = 6.0
"""From the last word of one who scales to the first of its successor: a lease of 3 s, and an election."""


class Gateways:
    """Those beside one's own; times are on a clock that never goes back.

    A record is as old as the time since it was seen to change, and begins as new: it goes with its gateway's
    lease, and counts for some seconds at most if that is gone already.
    """

    def __init__(self, own_id: str = "") -> None:
        self._own_id = own_id
        self._records: dict[str, GatewayRecord] = {}
        self._heard: dict[str, tuple[datetime, float]] = {}
        self._led_at_s = -math.inf

    def heard(self, record: GatewayRecord, now_s: float) -> None:
        if record.id == self._own_id:
            return
        known = self._heard.get(record.id)
        if known is None or known[0] != record.last_heartbeat:
            self._heard[record.id] = record.last_heartbeat, now_s
        self._records[record.id] = record
        if record.leads:
            self._led_at_s = self._heard[record.id][1]

    def gone(self, gateway_id: str) -> None:
        self._records.pop(gateway_id, None)
        self._heard.pop(gateway_id, None)

    def of(self, gateway_id: str) -> GatewayRecord | None:
        """What it told last, however long ago."""
        return self._records.get(gateway_id)

    def ids(self, now_s: float) -> list[str]:
        """Of those that take requests."""
        return [record.id for record in self._recent(now_s) if record.role == GATEWAY]

    def led(self, now_s: float) -> bool:
        """Whether one said so lately that it scales, that it or its successor will be there."""
        return now_s - self._led_at_s < LED_WITHIN_S

    def waiting(self, function_id: str, now_s: float) -> int:
        return sum(record.waiting.get(function_id, 0) for record in self._recent(now_s))

    def starting(self, function_id: str, revision: int, now_s: float) -> int:
        """Instances of that revision that were asked for and are not there yet."""
        asked = (record.starting.get(function_id, {}) for record in self._recent(now_s))
        return sum(by_revision.get(revision, 0) for by_revision in asked)

    def missing_room(self, now_s: float) -> dict[str, int]:
        """Instances that there is no room for, by function id."""
        missing: Counter[str] = Counter()
        for record in self._recent(now_s):
            missing.update(record.missing_room)
        return dict(missing)

    def trying_again(self, function_id: str, revision: int, now_s: float) -> bool:
        """Somebody wished that revision, which failed, to be started once more."""
        return any(r.trying_again.get(function_id) == revision for r in self._recent(now_s))

    def _recent(self, now_s: float) -> Iterator[GatewayRecord]:
        for gateway_id, record in self._records.items():
            if now_s - self._heard[gateway_id][1] < TOO_OLD_S:
                yield record
