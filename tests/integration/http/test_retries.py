import asyncio
import socket

import pytest

from aether.http import Answer, FailureKind, Forward, Upstream

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def refusing():
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield Upstream(*taken.getsockname())


async def test_refused_connect_is_retried_elsewhere_whatever_the_method(
    relay, backend, handler, connect, refusing
):
    handler.upstream = refusing
    handler.on_undelivered = lambda exchange, why: Forward(backend.upstream, b"/again")
    client = await connect(await relay())
    client.send(POST)
    upstream = await backend.peer()
    assert (await upstream.head()).startswith(b"POST /again ")
    assert await upstream.exactly(3) == b"abc"
    upstream.send(OK)
    assert (await client.response())[1] == b"ok"
    exchange = await handler.ended.get()
    assert (exchange.attempts, handler.undeliveries[0].kind) == (2, "connect")


async def test_refusal_by_a_draining_upstream_is_retried_elsewhere(relay, backend, handler, connect):
    handler.on_undelivered = lambda exchange, why: Forward(backend.upstream, b"/again")
    client = await connect(await relay())
    client.send(POST)
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(
        b"HTTP/1.1 503 No\r\nX-Aether-Refused: draining\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    other = await backend.peer()
    assert (await other.head()).startswith(b"POST /again ")
    other.send(OK)
    assert (await client.response())[1] == b"ok"
    assert handler.undeliveries[0].detail == "draining"


async def test_function_cannot_forge_a_refusal(relay, backend, handler, connect):
    handler.options["upstream_may_refuse"] = False
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    upstream.send(b"HTTP/1.1 503 No\r\nX-Aether-Refused: full\r\nContent-Length: 0\r\n\r\n")
    assert (await client.response())[0] == b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("safe", [(GET, True), (POST, False)])
async def test_kept_connection_that_breaks_is_replaced_only_if_that_is_safe(
    relay, backend, handler, connect, safe
):
    request_bytes, fresh = safe
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(OK)
    await client.response()
    client.send(request_bytes)
    await upstream.head()  # it was delivered, and then the connection broke
    upstream.reset()
    if fresh:
        (await backend.peer()).send(OK)
        assert (await client.response())[1] == b"ok"
    else:
        assert (await client.response())[0].startswith(b"HTTP/1.1 502 ")
        assert handler.failures[0].kind is FailureKind.BROKEN
        assert backend.accepted == 1


async def test_kept_connection_closed_before_is_not_used(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    upstream.send(OK)
    await client.response()
    upstream.close()
    await upstream.writer.wait_closed()
    client.send(POST)
    (await backend.peer()).send(OK)
    assert (await client.response())[1] == b"ok"


async def test_crash_before_the_head_is_a_failure_that_may_be_retried_if_idempotent(
    relay, backend, handler, connect
):
    client = await connect(await relay())
    for request_bytes, may_retry in [(GET, True), (POST, False)]:
        client.send(request_bytes)
        (await backend.peer()).reset()
        assert (await client.response())[1] == b"broken wait"
        assert handler.failures[-1].may_retry is may_retry


async def test_retry_by_forward_from_failed(relay, backend, handler, connect):
    handler.failed = lambda exchange, failure: (
        Forward(backend.upstream, b"/second") if failure.may_retry else Answer(502)
    )
    client = await connect(await relay())
    client.send(GET)
    (await backend.peer()).reset()
    second = await backend.peer()
    assert (await second.head()).startswith(b"GET /second ")
    second.send(OK)
    assert (await client.response())[1] == b"ok"


async def test_a_client_that_waits_to_be_told_is_told_by_the_second_try_too(
    relay, backend, handler, connect, refusing
):
    handler.upstream = refusing
    handler.on_undelivered = lambda exchange, why: Forward(backend.upstream, b"/again")
    client = await connect(await relay())
    client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"abc")
    upstream = await backend.peer()
    await upstream.head()
    assert await upstream.exactly(3) == b"abc"


BROKEN_BEHIND = b"HTTP/1.1 502 Bad Gateway\r\nX-Aether-Unanswered: broken\r\nContent-Length: 3\r\n\r\nwhy"


def retry_to(handler, decision) -> None:
    def failed(exchange, failure):
        handler.failures.append(failure)
        return decision

    handler.failed = failed


async def test_a_502_for_one_behind_that_gave_no_answer_may_be_tried_elsewhere(
    relay, backend, handler, connect
):
    retry_to(handler, Forward(backend.upstream, b"/again"))
    client = await connect(await relay())
    client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    upstream = await backend.peer()
    assert await upstream.head()
    assert await upstream.exactly(3) == b"abc"
    upstream.send(BROKEN_BEHIND)
    assert (await upstream.head()).startswith(b"PUT /again "), "the connection is whole, and kept"
    assert await upstream.exactly(3) == b"abc"
    upstream.send(OK)
    assert (await client.response())[1] == b"ok"
    (failure,) = handler.failures
    assert (failure.kind, failure.detail, failure.may_retry) == (FailureKind.UNANSWERED, "broken", True)


@pytest.mark.parametrize("asked", [GET, POST])
async def test_a_502_for_one_behind_is_passed_on_where_there_is_nothing_better(
    relay, backend, handler, connect, asked
):
    retry_to(handler, None)
    client = await connect(await relay())
    client.send(asked)
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(BROKEN_BEHIND)
    head, body = await client.response()
    assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 502 Bad Gateway", b"why")
    assert b"x-aether" not in head.lower()
    assert len(handler.failures) == (asked is GET), "what is not idempotent is not asked about"


async def test_a_handler_that_raises_about_a_502_lets_it_pass(relay, backend, handler, connect):
    reported = []
    handler.failed = lambda exchange, failure: 1 / 0
    client = await connect(await relay())
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    client.send(GET)
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(BROKEN_BEHIND)
    assert (await client.response())[1] == b"why"
    assert reported.pop()["message"] == "A handler failed"


async def test_a_function_cannot_have_its_request_sent_again(relay, backend, handler, connect):
    handler.options["upstream_may_refuse"] = False
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(BROKEN_BEHIND)
    assert (await client.response())[1] == b"why"
    assert handler.failures == []


async def test_an_upstream_that_is_gone_after_it_was_sent_a_request_may_have_seen_it(
    relay, backend, handler, connect
):
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(OK)
    await client.response()
    client.send(GET)
    await upstream.head()
    backend.stop_listening()
    upstream.close()  # and the connect that follows, in case it was closed while idle, finds nobody
    assert (await client.response())[1].startswith(b"broken")
    assert handler.undeliveries == []
    assert [failure.may_retry for failure in handler.failures] == [True]
