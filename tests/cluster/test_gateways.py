"""Several gateways are one platform: what is done at one holds at all."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.api import archive, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEEN_WITHIN_S = 1.0


async def answered(api, name: str, **more) -> dict:
    answer = await api.http.get(f"/functions/{name}/", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_any_gateway_serves_a_function_and_so_does_what_stands_before_them(cluster):
    one, other = cluster.api
    await one.deploy("everywhere")
    first, second = await answered(one, "everywhere"), await answered(other, "everywhere")
    through = await answered(other, "everywhere", headers={"X-Call-Id": "call-through"})
    front = await cluster.front_api.http.get("/functions/everywhere/", headers={"X-Call-Id": "call-front"})
    assert first["function_id"] == second["function_id"] == through["function_id"]
    assert (front.status_code, front.headers["x-call-id"]) == (200, "call-front")


async def test_a_function_made_at_one_is_called_at_the_other_within_a_second(cluster):
    one, other = cluster.api
    await one.deploy("made")
    took_s = await until(lambda: _status(other, "made", 200), 5, "the other gateway serves it")
    assert took_s < SEEN_WITHIN_S


async def test_changed_fields_hold_at_the_other_within_a_second(cluster):
    one, other = cluster.api
    await one.deploy("changed", env_vars={"COLOUR": "red"})
    assert (await answered(other, "changed"))["env"]["COLOUR"] == "red"
    await other.update("changed", env_vars={"COLOUR": "blue"})

    async def blue() -> bool:
        return (await answered(one, "changed"))["env"]["COLOUR"] == "blue"

    assert await until(blue, 5, "the first gateway serves the change") < SEEN_WITHIN_S


async def test_new_code_is_served_by_both_within_a_second_and_never_the_old_again(cluster):
    one, other = cluster.api
    await one.deploy("coded")
    await answered(other, "coded")
    sha256 = await other.upload("coded", archive("// new"))

    async def new() -> bool:
        return (await answered(one, "coded"))["code"] == f"{sha256}.ext4"

    assert await until(new, 5, "the first gateway serves the new code") < SEEN_WITHIN_S
    assert {(await answered(api, "coded"))["code"] for api in (one, other) for _ in range(20)} == {
        f"{sha256}.ext4"
    }


async def test_a_removed_function_is_gone_at_the_other_within_a_second(cluster):
    one, other = cluster.api
    await one.deploy("removed")
    await answered(other, "removed")
    assert (await one.http.delete("/api/functions/removed")).status_code == 204
    assert await until(lambda: _status(other, "removed", 404), 5, "it is gone there") < SEEN_WITHIN_S


async def test_names_are_unique_over_all_gateways(cluster):
    one, other = cluster.api
    await one.deploy("taken")
    again = await other.http.post("/api/functions", json={"name": "taken", "runtime": "node"})
    assert again.status_code == 409
    assert again.json()["error"]["code"] == "name_taken"


async def test_code_and_rows_are_in_the_stores_that_all_share(cluster):
    one, _ = cluster.api
    function_id = await one.deploy("stored")
    sha256 = await one.upload("stored", archive("// stored"))
    kept = {path.name for path in (cluster.stores.s3.buckets / "function-code" / function_id).iterdir()}
    assert kept >= {"code.ext4", f"{sha256}.ext4"}
    assert await cluster.stores.rows("select name from functions where name = 'stored'") == ["stored"]


async def test_calls_at_both_gateways_are_recorded_once_each(cluster):
    one, other = cluster.api
    await one.deploy("recorded")
    ids = [f"call-{gateway}-{number}" for gateway in "ab" for number in range(5)]
    for call_id in ids:
        await answered(one if "-a-" in call_id else other, "recorded", headers={"X-Call-Id": call_id})

    async def written() -> bool:
        calls = await other.get("/api/functions/recorded/invocations?limit=100")
        return sorted(call["call_id"] for call in calls) == ids

    await until(written, 5, "all calls are recorded")


async def test_a_burst_at_both_gateways_starts_no_more_than_may_run(cluster):
    """Each gateway starts instances for those that wait at it; together they keep to the function's limit."""
    one, other = cluster.api
    await one.deploy("burst", max_concurrency=4, max_instances=4, timeout_s=20)
    slow = {"x-simulated-respond-ms": "300"}
    since_s = time.monotonic()
    answers = await _at_once([one, other] * 24, "/functions/burst/", slow)
    assert [answer.status_code for answer in answers] == [200] * 48
    assert len({answer.json()["instance_id"] for answer in answers}) <= 5
    assert time.monotonic() - since_s < 15


async def _at_once(apis, path: str, headers: dict):
    return await asyncio.gather(*(api.http.get(path, headers=headers) for api in apis))


async def _status(api, name: str, status: int) -> bool:
    return (await api.http.get(f"/functions/{name}/")).status_code == status
