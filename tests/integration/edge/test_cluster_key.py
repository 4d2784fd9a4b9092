"""The cluster's key between gateway and instances' proxies."""

import asyncio
import json

import pytest
import structlog
from tests.integration.edge.conftest import Between

from aether.adapters.clock import SystemClock
from aether.worker.hop import Hop

KEY, NEXT = "old-key-of-the-cluster", "next-key-of-the-cluster"
GET = b"GET /functions/hello HTTP/1.1\r\nHost: a\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BOTH_WAYS = pytest.mark.parametrize("neighbours", [False, True], indirect=True)


def keyed(sent: str, *wanted: str, **address: object) -> Between:
    hop = Hop(SystemClock(), [key.encode() for key in wanted])
    return Between(cluster_key=sent, hop=hop, address=address)


async def answer_to(hops, request: bytes, *, at_proxy: bool = False) -> tuple[bytes, dict[str, str]]:
    client = await (hops.to_proxy() if at_proxy else hops.connect())
    client.send(request)
    head, body = await client.response()
    return head, json.loads(body)["error"]


async def untouched(hops) -> None:
    """Nobody has connected to the function."""
    await asyncio.sleep(0.05)
    assert hops._arrived.empty()


@BOTH_WAYS
async def test_a_gateway_with_the_key_is_served_and_the_function_does_not_see_it(hops):
    both = await hops(between=keyed(KEY, KEY))
    client = await both.connect()
    client.send(GET + b"\r\n")
    function = await both.function()
    seen = await function.head()
    function.send(OK)
    assert (await client.response())[1] == b"ok"
    assert b"cluster" not in seen.lower()
    assert KEY.encode() not in seen
    assert b"x-aether-instance" not in seen.lower()


@BOTH_WAYS
@pytest.mark.parametrize(
    "forged", [b"X-Aether-Cluster-Key: forged\r\n", b"x-aether-cluster-KEY:\tforged\r\n"]
)
async def test_a_copy_that_a_client_forges_is_taken_off_at_the_edge(hops, forged):
    both = await hops(between=keyed(KEY, KEY))
    client = await both.connect()
    client.send(GET + forged + b"X-Aether-Instance: ins-2\r\n\r\n")
    function = await both.function()
    assert b"forged" not in await function.head()
    function.send(OK)
    assert (await client.response())[1] == b"ok"


@BOTH_WAYS
async def test_a_forged_key_reaches_no_function_where_no_key_is_set(hops):
    both = await hops()
    client = await both.connect()
    client.send(GET + b"X-Aether-Cluster-Key: forged\r\n\r\n")
    function = await both.function()
    assert b"forged" not in await function.head()


async def test_no_key_is_sent_to_a_worker_that_wants_none(hops):
    both = await hops(between=keyed(KEY))
    client = await both.connect()
    client.send(GET + b"\r\n")
    seen = await (await both.function()).head()
    assert KEY.encode() not in seen


@pytest.mark.parametrize(
    ("field", "status", "code"),
    [
        (b"", b"401", "unauthenticated"),
        (b"X-Aether-Cluster-Key: wrong\r\n", b"403", "forbidden"),
        (b"X-Aether-Cluster-Key: " + KEY[:-1].encode() + b"\r\n", b"403", "forbidden"),
        (b"X-Aether-Cluster-Key:\r\n", b"403", "forbidden"),
        (b"X-Aether-Cluster-Key: \xff\xfe\r\n", b"403", "forbidden"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"Content-Length: 5\r\n"])
async def test_whoever_reaches_the_port_without_the_key_is_refused(hops, field, status, code, body):
    between = keyed(KEY, KEY)
    both = await hops(between=between)
    client = await both.to_proxy()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + field + body + b"\r\n" + (b"12345" if body else b""))
    head, answer = await client.response()
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"\r\nX-Aether-Error: " + code.encode() in head
    assert b"\r\nConnection: close\r\n" in head
    assert (error := json.loads(answer)["error"])["code"] == code
    assert error["component"] == "worker"
    await client.closed(within_s=5)
    await untouched(both)
    assert sum(between.hop.refused.values()) == 1


async def test_refusals_are_counted_and_logged_once_a_minute(hops):
    between = keyed(KEY, KEY)
    both = await hops(between=between)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await answer_to(both, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", at_proxy=True)
    assert between.hop.refused == {"missing": 3, "wrong": 0}
    assert [line["event"] for line in logs] == ["request refused for want of the cluster's key"]
    assert KEY not in str(logs)


@BOTH_WAYS
async def test_a_gateway_with_another_key_says_what_is_wrong(hops):
    both = await hops(between=keyed(NEXT, KEY))
    head, error = await answer_to(both, GET + b"\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert error["code"] == "no_capacity"
    assert "cluster key" in error["message"]
    assert "AETHER_CLUSTER_KEY" in error["hint"]
    await untouched(both)


@BOTH_WAYS
@pytest.mark.parametrize("sent", [KEY, NEXT])
async def test_two_keys_are_taken_while_they_are_changed(hops, sent):
    both = await hops(between=keyed(sent, KEY, NEXT))
    client = await both.connect()
    client.send(GET + b"\r\n")
    (await both.function()).send(OK)
    assert (await client.response())[1] == b"ok"


@BOTH_WAYS
async def test_a_request_for_an_instance_that_was_at_this_port_before_is_not_taken(hops):
    both = await hops(between=Between(address={"instance_id": "ins-gone"}))
    client = await both.connect()
    client.send(b"POST /functions/hello HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    head, _ = await client.response()
    assert head.startswith(b"HTTP/1.1 503 ")
    await untouched(both)


async def test_a_foreign_gateway_need_not_say_for_whom_a_request_is(hops):
    both = await hops()
    client = await both.to_proxy()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    (await both.function()).send(OK)
    assert (await client.response())[1] == b"ok"
