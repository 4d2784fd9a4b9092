"""Gateways that can't reach a worker: its own log tells, once each."""

from __future__ import annotations

from datetime import UTC, datetime

from structlog.testing import capture_logs

from aether.domain.gateway import GatewayRecord
from aether.ports.registry import gateway_key
from aether.worker.reached import Reached

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def gateway(name: str = "gw-1", **unreachable: str) -> GatewayRecord:
    return GatewayRecord(
        name, "host", "1", NOW, unreachable={k.replace("_", "-"): v for k, v in unreachable.items()}
    )


def test_each_gateway_that_cannot_reach_it_is_told_of_once_and_when_it_can():
    reached = Reached("wrk-1")
    with capture_logs() as logs:
        for record in (
            gateway(),
            gateway(wrk_2="refused"),
            gateway(wrk_1="refused"),
            gateway(wrk_1="refused"),
            gateway("gw-2", wrk_1="no answer"),
            gateway(),
            gateway(),
        ):
            reached.changed(gateway_key(record.id), record)
    assert [(e["log_level"], e["gateway"], e.get("reason")) for e in logs] == [
        ("error", "gw-1", "refused"),
        ("error", "gw-2", "no answer"),
        ("info", "gw-1", None),
    ]
    assert "WORKER_IP" in logs[0]["hint"]


def test_one_that_comes_back_is_told_of_again():
    reached = Reached("wrk-1")
    with capture_logs() as logs:
        reached.changed(gateway_key("gw-1"), gateway(wrk_1="refused"))
        reached.changed(gateway_key("gw-1"), None)
        reached.changed(gateway_key("gw-1"), gateway(wrk_1="refused"))
    assert len(logs) == 2
