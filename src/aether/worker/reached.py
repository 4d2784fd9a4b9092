"""What gateways say of reaching this worker: told in its own log, where its administrator looks."""

from __future__ import annotations

import structlog

from aether.domain.gateway import GatewayRecord

log = structlog.get_logger()


class Reached:
    """Once for each gateway that can't, and when it can again."""

    def __init__(self, worker_id: str, ip: str) -> None:
        self._worker_id = worker_id
        self._ip = ip
        self._told: dict[str, str] = {}

    def hear(self, gateway: GatewayRecord) -> None:
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
            hint=f"is WORKER_IP={self._ip} what gateways reach it by, and are its ports open?",
        )

    def gone(self, gateway_id: str) -> None:
        """The gateway is there no more."""
        self._told.pop(gateway_id, None)
