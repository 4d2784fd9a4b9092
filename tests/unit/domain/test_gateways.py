"""What gateways tell together: by their ages on one's own clock, whatever their clocks say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aether.domain.gateway import CONTROLLER, GatewayRecord
from aether.domain.gateways import LED_WITHIN_S, TOO_OLD_S, Gateways

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTES_5 = timedelta(minutes=5)


def told(gateway_id: str = "gw-1", at: datetime = NOW, **what) -> GatewayRecord:
    return GatewayRecord(gateway_id, "host", "0", at, **what)


def test_what_others_tell_is_added_up_and_ones_own_record_is_not():
    gateways = Gateways("gw-own")
    gateways.heard(
        told("gw-1", waiting={"fn-1": 2}, starting={"fn-1": {1: 1, 2: 3}}, missing_room={"fn-1": 1}), 0
    )
    gateways.heard(told("gw-2", waiting={"fn-1": 5}, starting={"fn-1": {2: 1}}, missing_room={"fn-2": 4}), 0)
    gateways.heard(told("gw-own", waiting={"fn-1": 100}), 0)
    assert gateways.waiting("fn-1", 0) == 7
    assert gateways.waiting("fn-2", 0) == 0
    assert gateways.starting("fn-1", 2, 0) == 4
    assert gateways.missing_room(0) == {"fn-1": 1, "fn-2": 4}


def test_a_record_that_stopped_changing_counts_no_more_however_its_clock_goes():
    for skew in (MINUTES_5, -MINUTES_5):
        gateways = Gateways()
        gateways.heard(told(at=NOW + skew, waiting={"fn-1": 1}), 100.0)
        assert gateways.waiting("fn-1", 100.0 + TOO_OLD_S - 0.1) == 1
        gateways.heard(told(at=NOW + skew, waiting={"fn-1": 1}), 103.0)
        assert gateways.waiting("fn-1", 100.0 + TOO_OLD_S) == 0, "the same again, as after a cut, is no news"
        gateways.heard(told(at=NOW + skew - timedelta(hours=1), waiting={"fn-1": 1}), 110.0)
        assert gateways.waiting("fn-1", 111.0) == 1, "a clock that was set back tells as well"


def test_what_has_gone_counts_no_more():
    gateways = Gateways()
    gateways.heard(told(waiting={"fn-1": 1}), 0)
    gateways.gone("gw-1")
    gateways.gone("gw-1")
    assert gateways.waiting("fn-1", 0) == 0
    assert gateways.ids(0) == []


def test_who_takes_no_requests_is_no_gateway():
    gateways = Gateways()
    gateways.heard(told("gw-1"), 0)
    gateways.heard(told("ctl-1", role=CONTROLLER), 0)
    assert gateways.ids(1) == ["gw-1"]
    assert gateways.ids(TOO_OLD_S) == []


def test_somebody_scales_until_a_successor_would_have_told():
    gateways = Gateways()
    assert not gateways.led(0)
    gateways.heard(told("ctl-1", role=CONTROLLER, leads=True), 10.0)
    gateways.gone("ctl-1")
    assert gateways.led(10.0 + LED_WITHIN_S - 0.1)
    assert not gateways.led(10.0 + LED_WITHIN_S)
