"""Hosts whose clocks differ by five minutes: nothing is decided by what another's clock says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.integration.foreign.conftest import ShiftedClock, function

from aether.domain.function import Limits

MINUTES_5 = timedelta(minutes=5)


@pytest.mark.parametrize("ahead", [MINUTES_5, -MINUTES_5], ids=["gateway ahead", "worker ahead"])
async def test_functions_start_serve_and_leave(ours, ahead):
    """Between the stores' clock, which is this host's, and neither of theirs: each is five minutes off."""
    await ours.code("fn-hello")
    await ours.worker(clock=ShiftedClock(-ahead))
    limits = Limits(instance_idle_timeout_s=0.1, scale_to_zero_after_s=0.1, drain_timeout_s=1.0)
    client = await ours.gateway(function(limits=limits), clock=ShiftedClock(ahead))
    cold = await client.get("/functions/hello", headers={"X-Timeout-Ms": "5000"})
    assert (cold.status_code, cold.json()["function_id"]) == (200, "fn-hello")
    warm = await client.get("/functions/hello", headers={"X-Timeout-Ms": "2000"})
    assert warm.status_code == 200

    async def all_gone():
        return not await ours.etcd.under("/functions/fn-hello/instances/")

    await ours.until(all_gone)
    assert (await client.get("/functions/hello")).status_code == 200
