"""What gateways say of reaching this worker: told in its own log, where its administrator looks."""

from __future__ import annotations

import structlog

from aether.domain.gateway import GatewayRecord
from aether.ports.registry import Entry, gateway_key

log = structlog.get_logger()

GATEWAYS = gateway_key("")


class Reached:
    """Once for each gateway that can't, and when it can again."""

    def __init__(self, worker_id: str) -> None:
        self._worker_id = worker_id
        self._told: dict[str, str] = {}

    def changed(self, key: str, entry: Entry | None) -> None:
        """Something in the registry."""
        if isinstance(entry, GatewayRecord):
            self._hear(entry)
        elif entry is None and key.startswith(GATEWAYS):
            self._told.pop(key.removeprefix(GATEWAYS), None)

    def _hear(self, gateway: GatewayRecord) -> None:
        reason = gateway.unreachable.get(self._worker_id, "")
        if reason == self._told.get(gateway.id, ""):
            return
        if not reason:
            log.info("gateway reaches this worker again", gateway=gateway.id)
            del self._told[gateway.id]
            return
        self._told[gateway.id] = reason
        log.error(
            "a gateway can't reach this worker, and gives it nothing while others are there",
            gateway=gateway.id,
            gateway_host=gateway.hostname,
            reason=reason,
            hint="is WORKER_IP what gateways reach it by, and are its ports open?",
        )
