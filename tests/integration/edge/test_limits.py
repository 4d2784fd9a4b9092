"""Limits at the edge, and the answers that tell of them."""

import json

import pytest

GET = b"GET /functions/hello%b HTTP/1.1\r\nHost: a\r\n%b\r\n"


async def refusal(client) -> tuple[int, str]:
    """Status and code of an answer that ends the connection."""
    head, body = await client.response()
    assert b"Connection: close\r\n" in head
    assert b"X-Call-Id: " in head
    assert await client.rest() == b""
    error = json.loads(body)["error"]
    assert error["call_id"]
    return int(head.split()[1]), error["code"]


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (GET % (b"", b"A: b\r\n" * 20), 431, "headers_too_large"),
        (GET % (b"", b"A: " + b"b" * 9000 + b"\r\n"), 431, "headers_too_large"),
        (GET % (b"/" + b"a" * 2000, b""), 414, "uri_too_long"),
        (b"GET /functions/" + b"a" * 3000, 414, "uri_too_long"),
        (GET % (b"", b"Content-Length: 1001\r\n"), 413, "body_too_large"),
        (GET % (b"", b"Expect: 100-continue\r\nContent-Length: 1001\r\n"), 413, "body_too_large"),
        (GET % (b"", b"Content-Length: +5\r\n"), 400, "bad_request"),
        (GET % (b"/../other", b""), 400, "bad_request"),
        (GET % (b"/%2e%2e%2fother", b""), 400, "bad_request"),
        (b"GET /functions/.. HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
        (b"GET /functions/x%2f..%2fhello HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
    ],
)
async def test_what_is_over_a_limit_is_refused_before_a_function_hears_of_it(hops, sent, status, code):
    both = await hops(max_headers=20, max_head_bytes=8000, max_target_bytes=1024, max_body_bytes=1000)
    client = await both.connect()
    client.send(sent)
    assert await refusal(client) == (status, code)
    assert both._arrived.empty()


async def test_an_encoded_slash_within_the_prefix_passes_as_sent(hops):
    both = await hops()
    client = await both.connect()
    client.send(GET % (b"/a%2Fb/../%2e/c", b""))
    assert (await (await both.function()).head()).startswith(b"GET /a%2Fb/../%2e/c HTTP/1.1\r\n")


async def test_a_chunked_body_over_the_limit_is_cut_off(hops):
    both = await hops(max_body_bytes=1000)
    client = await both.connect()
    client.send(GET % (b"", b"Transfer-Encoding: chunked\r\n"))
    client.send(b"384\r\n" + b"x" * 900 + b"\r\n")
    await (await both.function()).head()
    client.send(b"384\r\n" + b"x" * 900 + b"\r\n")
    assert await refusal(client) == (413, "body_too_large")


async def test_a_slow_head_is_408(hops):
    both = await hops(head_timeout_s=0.3)
    client = await both.connect()
    client.send(b"GET /functions/hel")
    assert await refusal(client) == (408, "request_timeout")


async def test_a_slow_body_is_408(hops):
    both = await hops(body_idle_timeout_s=0.3)
    client = await both.connect()
    client.send(GET % (b"", b"Content-Length: 10\r\n"))
    await (await both.function()).head()
    client.send(b"abc")
    head, body = await client.response()
    assert (head.split()[1], json.loads(body)["error"]["code"]) == (b"408", "request_timeout")
    assert await client.rest() == b""


async def test_connections_over_the_limit_are_told_to_come_again(hops):
    both = await hops(max_connections_per_client=1)
    await both.connect()
    second = await both.connect()
    head, body = await second.response()
    assert (head.split()[1], json.loads(body)["error"]["code"]) == (b"503", "queue_full")
    assert b"Retry-After: 1\r\n" in head


async def test_a_front_proxy_that_is_trusted_has_many_connections_of_many_clients(hops):
    both = await hops(max_connections_per_client=1, trusts=lambda host: host == "127.0.0.1")
    await both.connect()
    second = await both.connect()
    second.send(GET % (b"", b""))
    function = await both.function()
    await function.head()
    function.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert (await second.response())[1] == b"ok"
